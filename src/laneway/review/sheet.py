"""sheet: an item with all its words, as a person reads it, and what an act means of them.

Where the words were erased, nothing of them can be told and nothing released: such an item can only be rejected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from laneway.errors import RequestError
from laneway.review.acts import Act, Kept, Words, current
from laneway.review.item import Item
from laneway.store import Content

__all__ = ["Sheet", "read"]


class Sheet(NamedTuple):
    """What was asked, the answer, its edits and the proposed extracts, oldest first, and people's comments."""

    item: Item
    kept: Kept
    answer: Words | None
    edits: list[Words]
    extracts: list[Words]
    comments: list[str]
    erased: bool

    @property
    def words(self) -> Words | None:
        """What is up for approval."""
        return current(self.answer, self.edits)

    @property
    def extract(self) -> Words | None:
        """The proposed extract that another person may approve: the newest."""
        return self.extracts[-1] if self.extracts else None

    def meant(self, act: Act, commitment: Callable[[Words], str]) -> Act:
        """The act in full: one that names the proposed extract by its hash has its text and its class.

        Raises RequestError where the words are erased, or the extract is not the one that was seen.
        """
        id = self.item.review.id
        if self.erased and act.action != "reject":
            raise RequestError(410, "review_gone", f"the words of {id} were erased: it can only be rejected")
        if act.action != "reclassify" or act.text or not act.seen:
            return act
        made = self.extract
        if made is None or act.seen != commitment(made) or act.to not in ("", made.extract):
            message = f"the proposed extract of {id} is not the one that you saw: look at it again"
            raise RequestError(409, "words_changed", message, "seen")
        return msgspec.structs.replace(act, text=made.text, to=made.extract)

    def seen(self, act: Act, commitment: Callable[[Words], str]) -> None:
        """People decide about words that they saw. Raises RequestError where those are others."""
        if act.action in ("approve", "edit") and self.words is not None and act.seen != commitment(self.words):
            message = f"the words of {self.item.review.id} are not those that you saw: look at them again"
            raise RequestError(409, "words_changed", message, "seen")


def read(content: Content, item: Item) -> Sheet:
    """The sheet of an item. Blocks. Raises ContentError."""
    id = item.review.id

    def all_of(part: str) -> list[Words]:
        return [Words.decoded(data) for data in content.versions(id, part)]  # type: ignore[arg-type]

    asked, answer = content.get(id, "request"), content.get(id, "answer")
    comments = [comment.decode() for comment in content.versions(id, "comment")]
    if asked is None:
        return Sheet(item, Kept(b"{}", {}), None, [], [], comments, erased=True)
    return Sheet(item, Kept.decoded(asked), Words.decoded(answer) if answer else None, all_of("edit"),
                 all_of("extract"), comments, erased=False)  # fmt: skip
