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

from laneway.errors import ContentError, LogError, RequestError, ReviewersError, UsageError
from laneway.record import Cause, Opening, Resolution, Review
from laneway.review.acts import Act, Kept, Words, anew, behind, checked, final, heard, signed, unreleased
from laneway.review.item import Held, Item, Onward, Waiting
from laneway.review.people import People, Person, alike, hashed
from laneway.review.sheet import Sheet, read
from laneway.store import Content, Log, Reader, Story
from laneway.store.content import place

__all__ = ["COMMENT_DAYS", "FETCH_DAYS", "MOST", "Desk"]

FETCH_DAYS = 7
"""How long a released answer waits for its caller."""
COMMENT_DAYS = 183
"""How long people's comments are kept."""

MOST = 10_000
"""How many items may wait at once."""

_FETCHED_SECONDS = 3600
_SWEEP_SECONDS = 2.0
_ERASE_EVERY = 60_000_000
_DAY = 86_400_000_000
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
        opened: dict[str, list[Resolution]] = {}
        with closing(Reader.open(self.log.path)) as reader:
            for _, entry in reader.desk():
                if isinstance(entry, Review):
                    opened[entry.id] = []
                elif entry.final:
                    opened.pop(entry.id, None)
                elif entry.id in opened:
                    opened[entry.id].append(entry)
            for id, done in opened.items():
                story = reader.story(id)
                if story is not None and story.review is not None:
                    lane = story.outcome.entry.lane if story.outcome else None
                    review = story.review.entry
                    item = self.items[id] = Item(review, story.opening, lane, story.review.at, self.log.now())
                    item.resolutions = done
        for id in {piece.decision for piece in self.content.pieces("review")} - self.items.keys():
            self.content.erase(id, but="released")

    # What the gateway asks.

    async def keep(self, id: str, opening: Opening, cause: Cause, kept: Kept, words: Words | None) -> Held:
        """Put the words on disk; what is to be recorded with the outcome, and for the caller.

        Raises ContentError. Call `put` once that is recorded, `drop` where it could not be.
        """
        content, rule = self._content(), kept.rule
        until = self.log.now() // 1000 + int(rule.within * 1e6)
        ticket = secrets.token_urlsafe(24)
        pieces = [("request", kept.encoded())] + ([("answer", words.encoded())] if words else [])

        def write() -> None:
            for part, data in pieces:
                content.put(id, part, data, why="review", until=until + _DAY, subject=opening.subject)  # type: ignore[arg-type]

        await asyncio.to_thread(write)
        review = Review(id=id, rule=rule.id, cause=cause, until=until, eyes=rule.eyes, comment=rule.comment,  # type: ignore[arg-type]
                        ticket=hashed(ticket), asker=opening.asker)  # fmt: skip
        return Held(review, ticket, rule.wait)

    def put(self, held: Held, opening: Opening, lane: str | None) -> Item:
        """The item is on record: it waits."""
        review = held.review
        at = datetime.datetime.fromtimestamp(self.log.now() / 1e9, datetime.UTC)
        item = self.items[review.id] = Item(review, opening, lane, at, self.log.now())
        self.told(item)
        return item

    async def drop(self, id: str) -> None:
        """The item could not be recorded: nothing of it is kept."""
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
                raise _unknown(id)
            if not item.over(self.log.now()):
                raise await self._waits(item, ticket)
            async with self.turn:
                await self._expire(item)
        story = await asyncio.to_thread(self._story, id)
        review = story.review.entry if story is not None and story.review is not None else None
        if story is None or review is None or not hmac.compare_digest(hashed(ticket), review.ticket):
            raise _unknown(id)
        return story.opening, await self._released(story, ticket)

    async def _waits(self, item: Item, ticket: str, asked: str = "") -> RequestError | Waiting:
        """What whoever `asked` is told of an item: that it waits, or that its words were erased meanwhile."""
        id = item.review.id
        gone = await asyncio.to_thread(self._content().get, id, "request") is None
        if gone and id in self.items:  # else it was closed meanwhile, and they are to ask again
            return RequestError(410, "review_gone", f"the words of {asked or id} were erased before anybody "
                                "released them; ask again")  # fmt: skip
        return Waiting(asked or id, ticket, item.until)

    async def _released(self, story: Story, ticket: str) -> Words:
        end = final(each.entry for each in story.resolutions)
        if end is None:  # it is being written
            raise Waiting(story.id, ticket, datetime.datetime.now(datetime.UTC))
        if end.action in ("reject", "expire"):
            raise unreleased(end)
        if end.child:
            return await self._onward(story, end.child, ticket)
        return await self._words(story.id, end.content)

    async def _onward(self, story: Story, child: str, ticket: str) -> Words:
        """What came of a request that was sent on, itself or after another review."""
        if child in self.items:
            raise await self._waits(self.items[child], ticket, story.id)
        found = await asyncio.to_thread(self._story, child)
        if found is not None and found.review is not None:
            return await self._released(found, ticket)
        if found is None or found.outcome is None:
            if child not in self._sent:
                raise RequestError(503, "review_lost", f"{story.id} was sent on, and that was cut short; ask again")
            raise Waiting(story.id, ticket, datetime.datetime.now(datetime.UTC))
        if found.outcome.entry.status != "answered":
            message = f"the answer of {story.id} was sent on as {child}, which ended without one; see `laneway why`"
            raise RequestError(503, "review_unanswered", message)
        return await self._words(child, None)

    async def _words(self, id: str, content: str | None) -> Words:
        """The released words, if they are those whose hash is on record; once fetched they go soon."""
        kept = self._content()
        now = self.log.now() // 1000
        data = await asyncio.to_thread(kept.get, id, "released", now)
        if data is None:
            raise RequestError(410, "review_gone", f"the released answer of {id} was erased, as it was not fetched "
                               "in time or was fetched before; ask again")  # fmt: skip
        if content is not None and self.log.commitment(data) != content:
            raise ContentError(f"the words kept for {id} are not those that were approved; nothing is released")
        await asyncio.to_thread(kept.shorten, id, "released", now + _FETCHED_SECONDS * 1_000_000)
        return Words.decoded(data)

    async def answered(self, onward: str, subject: str, words: Words) -> None:
        """Keep the answer to a request that was sent on, before its outcome is on record."""
        until = self.log.now() // 1000 + FETCH_DAYS * _DAY
        await asyncio.to_thread(
            lambda: self._content().put(onward, "released", words.encoded(), why="review", until=until, subject=subject)
        )

    # What reviewers ask.

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
            if word is not None and not word.accepted:
                await self.heard()
            if made.final:
                self._send(sheet.kept, act, made, item)  # before anybody finds the item gone, and nothing sent on
                await self._close(item, released=act.action in ("approve", "edit"))
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
            comment=self.log.commitment(b"comment " + act.comment.encode()) if act.comment else "", lane=act.lane,
            child=child if ends and act.action in ("send", "reclassify") else "", seconds=act.seconds,
        )  # fmt: skip

    def _prepare(self, item: Item, act: Act, made: Resolution, words: Words | None) -> None:
        """What must be on disk before the Resolution is."""
        id, content, now = made.id, self._content(), self.log.now() // 1000

        def put(part: str, data: bytes, until: int) -> None:
            content.put(id, part, data, why="review", until=until, subject=item.opening.subject)  # type: ignore[arg-type]

        if act.comment:
            put("comment", act.comment.encode(), now + COMMENT_DAYS * _DAY)
        if words is not None and act.action in ("edit", "reclassify") and not made.final:
            put("edit" if act.action == "edit" else "extract", words.encoded(), item.review.until + _DAY)
        if words is not None and act.action in ("approve", "edit") and made.final:
            put("released", words.encoded(), now + FETCH_DAYS * _DAY)

    def _send(self, kept: Kept, act: Act, made: Resolution, item: Item) -> None:
        if not made.child or self.onward is None:
            return
        body, headers = kept.onward(act, item.opening)
        going = asyncio.create_task(self.onward(Onward(made.child, made.id, body, headers)))
        self._sent[made.child] = going
        going.add_done_callback(lambda _: self._sent.pop(made.child, None))

    # Time.

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
        if self.content is not None and now - self._swept > _ERASE_EVERY:
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
        item = self.items.get(id)
        if item is not None:
            return item
        story = self._story(id)
        if story is None or story.review is None:
            raise RequestError(404, "unknown_review", f"no item waits as {id[:40]!r}")
        end = final(each.entry for each in story.resolutions)
        how = "is over" if end is None or end.action == "expire" else f"was ended by {end.by}: {end.action}"
        raise RequestError(409, "review_closed", f"the review of {id} {how}")

    def _story(self, id: str) -> Story | None:
        with closing(Reader.open(self.log.path)) as reader:
            story = reader.story(id)
        return story if story is not None and story.id == id else None


def _unknown(id: str) -> RequestError:
    return RequestError(404, "unknown_review", f"no answer waits as {id[:40]!r} for this ticket")
