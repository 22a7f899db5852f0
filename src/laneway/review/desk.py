"""desk: what waits for people, and the one place that releases an answer.

An item opens with the record of its decision, and its words are on disk before that. People approve, edit, reject, send
on or reclassify; each Resolution is on disk before it has an effect. Nothing is released but by a final approval whose
hash is that of the words. When an item is closed its words are erased, all but those that its caller has yet to fetch
and people's comments. Whatever fails, a crash included, loses an answer or leaves it waiting.
"""

from __future__ import annotations

import asyncio
import datetime
import hmac
import logging
import secrets
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from functools import partial

from laneway.errors import ContentError, LanewayError, LogError, RequestError, ReviewersError, UsageError
from laneway.record import Cause, Entry, Opening, Resolution, Review
from laneway.review.acts import (
    DAY,
    FETCH_DAYS,
    Act,
    Kept,
    Words,
    anew,
    behind,
    checked,
    final,
    heard,
    pieces,
    signed,
)
from laneway.review.endings import closed, erased, gone, unanswered, unknown, unreleased
from laneway.review.item import Held, Item, Onward, Waiting
from laneway.review.people import People, Person, alike, hashed
from laneway.review.recalled import Recalled
from laneway.review.sheet import Sheet, read
from laneway.store import Content, Log, Reader, Story
from laneway.store.content import Part, place

__all__ = ["MOST", "Desk"]

MOST = 10_000
"""How many items may wait at once."""

_FETCHED_SECONDS = 3600
_SWEEP_SECONDS = 2.0
_ERASE_EVERY = 60_000_000
_log = logging.getLogger("laneway")


class Desk:
    """The queue of one server. Without people or content nothing can be held for review, and `able` is False.

    `allowed` says where an item may be sent, `onward` sends it, `heard` counts rejections anew: the gateway's.
    Whoever changes what waits has its `turn`. At most `most` wait, and what was under way by then.
    """

    def __init__(self, log: Log, people: People | None = None, content: Content | None = None) -> None:
        self.log, self.people, self.content = log, people, content
        self.items: dict[str, Item] = {}
        self.allowed: Callable[[Item], list[str]] = lambda _: []
        self.onward: Callable[[Onward], Coroutine[None, None, None]] | None = None
        self.told: Callable[[Item], None] = lambda _: None
        self.heard: Callable[[], Coroutine[None, None, None]] = partial(asyncio.sleep, 0)
        self.stopping, self.most = False, MOST
        self.turn = asyncio.Lock()
        self._sent: dict[str, asyncio.Task[None]] = {}
        self._swept = 0

    @property
    def full(self) -> bool:
        """Whether so much waits that nothing more is taken: it lies in memory, and its words on disk."""
        return len(self.items) >= self.most

    @property
    def able(self) -> bool:
        """Whether there is somebody who could release something, and a place to keep it."""
        try:
            if self.people is None or not self.people.can_review():
                return False
            self.place()
        except (ReviewersError, ContentError, UsageError) as error:
            _log.error("%s", error)
            return False
        return True

    def place(self) -> Content:
        """Where words are kept, opened when the first are. Raises ContentError, and UsageError without the extra."""
        if self.content is None:
            self.content = Content.open(self.log.path)
        return self.content

    def recall(self) -> None:
        """Find what waits in the log, and erase the words of what does not. Blocks.

        Raises ReviewersError, ContentError, LogError, and UsageError without the `review` extra.
        """
        if self.people is not None and self.people.can_review():
            self.place()
        elif place(self.log.path).exists():  # nobody reviews any more, and what is there has its time
            with suppress(ContentError, UsageError):
                self.place()
        if self.content is None:
            return
        with closing(Reader.open(self.log.path)) as reader:
            found = Recalled.of(reader, self.log.now())
            self.items |= found.items
            for id in {piece.decision for piece in self.content.pieces("review")} - self.items.keys():
                self.content.erase(id, but="released" if found.released(id, reader) else "comment")

    async def keep(self, id: str, opening: Opening, cause: Cause, kept: Kept, words: Words | None) -> Held:
        """Put the words on disk; what is to be recorded with the outcome, and for the caller.

        Raises ContentError. `opened` comes next.
        """
        content, rule = self._content(), kept.rule
        until = self.log.now() // 1000 + int(rule.within * 1e6)
        ticket = secrets.token_urlsafe(24)
        said: list[tuple[Part, bytes]] = [("request", kept.encoded())]
        said += [("answer", words.encoded())] if words else []

        def write() -> None:
            for part, data in said:
                content.put(id, part, data, why="review", until=until + DAY, subject=opening.subject)

        writing = asyncio.create_task(asyncio.to_thread(write))
        try:
            await asyncio.shield(writing)
        except (ContentError, asyncio.CancelledError):  # nobody will put it on record
            await asyncio.wait([writing])
            await self._drop(id)
            raise
        review = Review(id=id, rule=rule.id, cause=cause, until=until, eyes=rule.eyes, comment=rule.comment,  # type: ignore[arg-type]
                        ticket=hashed(ticket), asker=opening.asker)  # fmt: skip
        return Held(review, ticket, 0.0 if opening.source else rule.wait)  # what was sent on, nobody waits for

    async def opened(
        self, held: Held, opening: Opening, lane: str | None, outcome: tuple[Entry, ...], instead: Entry | None = None
    ) -> Item:
        """Put it on record, and it waits, though its caller go away meanwhile. Raises LogError: nothing is kept."""
        review = held.review

        async def recorded() -> Item:
            try:
                await self.log.append(*outcome, review, otherwise=instead)
            except LogError:
                await self._drop(review.id)
                raise
            now = self.log.now()
            at = datetime.datetime.fromtimestamp(now / 1e9, datetime.UTC)
            item = self.items[review.id] = Item(review, opening, lane, at, now)
            self.told(item)
            return item

        return await asyncio.shield(recorded())

    async def _drop(self, id: str) -> None:
        """It is not on record: nothing of it is kept."""
        with suppress(ContentError):
            await asyncio.to_thread(self._content().erase, id)

    async def waited(self, held: Held) -> tuple[Opening, Words]:
        """As `fetch`, once the item is closed or the caller has waited long enough."""
        item = self.items.get(held.review.id)
        if item is not None and held.wait and not self.stopping:
            with suppress(TimeoutError):
                await asyncio.wait_for(item.closed.wait(), held.wait)
        return await self.fetch(held.review.id, held.ticket)

    def stop(self) -> None:
        """Nobody is kept waiting any longer: they are told to ask again."""
        self.stopping = True
        for item in self.items.values():
            item.closed.set()

    async def fetch(self, id: str, ticket: str) -> tuple[Opening, Words]:
        """The words that were released to whoever holds the ticket.

        Raises Waiting while they wait, and RequestError where they never come: rejected, too late, gone, unknown.
        """
        item = self.items.get(id)
        if item is not None:
            if not hmac.compare_digest(hashed(ticket), item.review.ticket):
                raise unknown(id)
            if not item.over(self.log.now()):
                raise await self._waits(item, ticket)
            async with self.turn:
                await self._expire(item)
        story = await asyncio.to_thread(self._story, id)
        if story is None or story.review is None or not hmac.compare_digest(hashed(ticket), story.review.entry.ticket):
            raise unknown(id)
        try:
            return story.opening, await self._released(story)
        except Waiting as other:  # for a review of what it was sent on as: the caller's ticket is this one's
            raise Waiting(id, ticket, other.until) from None

    async def _waits(self, item: Item, ticket: str, asked: str = "") -> RequestError | Waiting:
        """What whoever `asked` is told of an item: that it waits, or that its words were erased meanwhile."""
        id = item.review.id
        kept = await asyncio.to_thread(self._content().get, id, "request")
        if kept is None and id in self.items:  # else it was closed meanwhile, and they are to ask again
            return erased(asked or id)
        return Waiting(asked or id, ticket, item.until)

    async def _released(self, story: Story) -> Words:
        end = final(each.entry for each in story.resolutions)
        if end is None:  # it is being written
            raise Waiting(story.id, "", datetime.datetime.now(datetime.UTC))
        if end.action in ("reject", "expire"):
            raise unreleased(end)
        if end.child:
            return await self._onward(story, end.child)
        return await self._words(story.id, end.content)

    async def _onward(self, story: Story, child: str) -> Words:
        """What came of a request that was sent on, itself or after another review."""
        if child in self.items:
            raise await self._waits(self.items[child], "", story.id)
        found = await asyncio.to_thread(self._story, child)
        if found is not None and found.review is not None:
            return await self._released(found)
        if found is None or found.outcome is None:
            if child not in self._sent:
                raise RequestError(503, "review_lost", f"{story.id} was sent on, and that was cut short; ask again")
            raise Waiting(child, "", datetime.datetime.now(datetime.UTC))
        if found.outcome.entry.status != "answered":
            raise unanswered(story.id, child)
        return await self._words(child, None)

    async def _words(self, id: str, content: str | None) -> Words:
        """The released words, if they are those whose hash is on record; once fetched they go soon."""
        kept, now = self._content(), self.log.now() // 1000
        data = await asyncio.to_thread(kept.get, id, "released", now)
        if data is None:
            raise gone(id)
        if content is not None and self.log.commitment(data) != content:
            raise ContentError(f"the words kept for {id} are not those that were approved; nothing is released")
        await asyncio.to_thread(kept.shorten, id, "released", now + _FETCHED_SECONDS * 1_000_000)
        return Words.decoded(data)

    async def answered(self, onward: str, subject: str, words: Words) -> None:
        """Keep the answer to a request that was sent on, before its outcome is on record."""
        until = self.log.now() // 1000 + FETCH_DAYS * DAY
        put = partial(self._content().put, why="review", until=until, subject=subject)
        await asyncio.to_thread(put, onward, "released", words.encoded())

    async def view(self, id: str) -> Sheet:
        """An item with all its words."""
        return await asyncio.to_thread(read, self._content(), self.item(id))

    def erased(self) -> set[str]:
        """The items whose words were erased. Blocks."""
        waiting = set(self.items)
        return waiting - {each.decision for each in self._content().pieces("review") if each.part == "request"}

    def standing(self, item: Item) -> tuple[int, int]:
        """How many people stand behind the words that are up, and behind the proposed extract."""
        people, done = self._reviewers(), item.resolutions
        return behind(done, ("approve", "edit"), people), behind(done, ("reclassify",), people)

    def commitment(self, words: Words) -> str:
        """The salted hash by which a reviewer says which words they saw."""
        return self.log.commitment(words.encoded())

    def asker(self, name: str) -> str:
        """The salted hash of who asked."""
        return self.log.commitment(b"asker " + alike(name).encode())

    async def resolve(self, id: str, by: Person, act: Act, classes: tuple[str, ...]) -> Resolution:
        """What `by` does with an item, on record. Raises RequestError where they may not, or not so; LogError."""
        return await asyncio.shield(self._resolve(id, by, act, classes))  # once begun it comes to its end

    async def _resolve(self, id: str, by: Person, act: Act, classes: tuple[str, ...]) -> Resolution:
        async with self.turn:
            item = self.item(id)
            if item.over(self.log.now()):
                await self._expire(item)
                raise RequestError(409, "review_expired", f"the time of {id} is over: nothing of it is released")
            self._may(item, by)
            sheet = await self.view(id)
            act = sheet.meant(act, self.commitment)
            words = checked(act, item, sheet.words, sheet.kept, self.allowed(item), classes)
            sheet.seen(act, self.commitment)
            made = self._made(item, by, act, words)
            anew(item.resolutions, made)
            await asyncio.to_thread(self._prepare, item, act, made, words)
            word = heard(item.lane, item.resolutions, made)
            await self.log.append(made, *((word,) if word else ()))
            item.resolutions.append(made)
            if made.final:
                self._send(sheet.kept, act, made, item)  # before anybody finds the item gone, and nothing sent on
                await self._close(item, released=act.action in ("approve", "edit"))
            if word is not None and not word.accepted:
                try:
                    await self.heard()
                except LanewayError as error:  # it is on record, and the next one counts it too
                    _log.error("the rejection of %s does not count yet: %s", id, error)
            return made

    def _may(self, item: Item, by: Person) -> None:
        if by.role != "review":
            raise RequestError(403, "wrong_role", f"{by.name} has the role {by.role}, which changes nothing")
        if by.name not in self._reviewers():  # removed since the request came in
            raise RequestError(401, "no_reviewer", f"{by.name} may not review any more")
        if self.own(item, by):
            raise RequestError(403, "own_request", f"{by.name} asked for this answer; somebody else must decide")

    def _reviewers(self) -> set[str]:
        try:
            return {each.name for each in (self.people.all() if self.people else ()) if each.role == "review"}
        except ReviewersError as error:
            raise RequestError(503, "reviewers_unusable", f"{error}") from None

    def shows(self, item: Item, by: Person) -> bool:
        """Whether `by` may see its words: a reviewer, and nobody who asked for them and is to wait."""
        return by.role == "review" and not self.own(item, by)

    def own(self, item: Item, by: Person) -> bool:
        """Whether it was `by` who asked."""
        return item.review.asker in {self.asker(name) for name in (by.name, *by.callers)}

    def _made(self, item: Item, by: Person, act: Act, words: Words | None) -> Resolution:
        content = self.commitment(words) if words else ""
        enough = signed(item.resolutions, act.action, content, by.name, self._reviewers()) >= item.review.eyes
        ends = act.action in ("reject", "send") or enough
        child = f"{self.log.now() // 1_000_000:011x}-{secrets.token_hex(6)}"
        return Resolution(
            id=item.review.id, action=act.action, by=by.name, final=ends, content=content,
            comment=self.log.commitment(b"comment " + act.comment.encode()) if act.comment else "",
            lane=act.lane if act.action == "send" else "",
            child=child if ends and act.action in ("send", "reclassify") else "", seconds=act.seconds,
        )  # fmt: skip

    def _prepare(self, item: Item, act: Act, made: Resolution, words: Words | None) -> None:
        """What must be on disk before the Resolution is."""
        for part, data, until in pieces(act, made, words, self.log.now() // 1000, item.review.until):
            self._content().put(made.id, part, data, why="review", until=until, subject=item.opening.subject)

    def _send(self, kept: Kept, act: Act, made: Resolution, item: Item) -> None:
        if not made.child or self.onward is None:
            return
        going = asyncio.create_task(self.onward(Onward(made.child, made.id, *kept.onward(act, item.opening))))
        self._sent[made.child] = going
        going.add_done_callback(lambda _: self._sent.pop(made.child, None))

    async def run(self) -> None:
        """Close what is past its time, and erase what is, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except (LogError, ContentError) as error:
                _log.error("reviews: %s", error)

    async def sweep(self) -> None:
        """Close what is past its time, and erase what is."""
        for item in [item for item in self.items.values() if item.over(self.log.now())]:
            async with self.turn:
                await self._expire(item)
        now = self.log.now() // 1000
        if self.content is not None and not 0 <= now - self._swept <= _ERASE_EVERY:  # nor where the clock was set back
            self._swept = now
            await asyncio.to_thread(self.content.erase_due, now)

    async def _expire(self, item: Item) -> None:
        if item.review.id in self.items:
            await self.log.append(Resolution(id=item.review.id, action="expire", by="", final=True))
            await self._close(item, released=False)

    async def _close(self, item: Item, *, released: bool) -> None:
        self.items.pop(item.review.id, None)
        item.closed.set()
        try:
            await asyncio.to_thread(self._content().erase, item.review.id, but="released" if released else "comment")
        except ContentError as error:  # the next start erases it
            _log.error("the words of %s could not be erased: %s", item.review.id, error)

    def _content(self) -> Content:
        if self.content is None:
            raise ContentError("nothing can be kept for people: no reviewer is named")
        return self.content

    def item(self, id: str) -> Item:
        """The item that waits as `id`. Raises RequestError where none does, with how it ended."""
        if id in self.items:
            return self.items[id]
        story = self._story(id)
        if story is None or story.review is None:
            raise RequestError(404, "unknown_review", f"no item waits as {id[:40]!r}")
        raise closed(id, final(each.entry for each in story.resolutions))

    def _story(self, id: str) -> Story | None:
        with closing(Reader.open(self.log.path)) as reader:
            story = reader.story(id)
        return story if story is not None and story.id == id else None
