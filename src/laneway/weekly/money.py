"""money: what was spent, and what the same answers would have cost at the strongest lane that each class may use. Pure.

The tokens are those on record of the answer that the client got; the price is that of the policy under which the
request was decided. What has no tokens on record, or no price, is left out on both sides and said.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

import msgspec

from laneway.policy import Policy
from laneway.wall import walled
from laneway.weekly.tally import Sum, Tally
from laneway.weekly.value import Money

__all__ = ["money", "strongest"]


_DIGITS = 9


def strongest(policy: Policy, data_class: str, day: datetime.date) -> str | None:
    """The strongest lane that the wall's table lets a class use on a day; None where there is none."""
    row = walled(policy, day).get(data_class)
    return max(row.admitted, key=policy.rank.__getitem__) if row and row.admitted else None


class _Sheet(msgspec.Struct):
    spent: float = 0.0
    shadows: float = 0.0
    before: float = 0.0
    compared: int = 0
    left_out: int = 0
    cost: float = 0.0
    premium: float = 0.0

    def told(self, currency: str, *, compared: bool) -> Money:
        return Money(
            currency=currency,
            spent=round(self.spent + self.shadows, _DIGITS),
            shadows=round(self.shadows, _DIGITS),
            before=round(self.before, _DIGITS) if compared else None,
            compared=self.compared,
            left_out=self.left_out,
            cost=round(self.cost, _DIGITS),
            premium=round(self.premium, _DIGITS),
            saved=round(self.premium - self.cost, _DIGITS),
        )


def money(
    now: Tally, was: Tally | None, policy: Callable[[str], Policy | None], day: datetime.date
) -> list[Money]:  # fmt: skip
    """By currency, the one most spent first. Shadows' money, which no policy is noted for, is in the first."""
    sheets: dict[str, _Sheet] = {}
    for ending, found in now.ended.items():
        made = policy(ending.kind.policy)
        sheet = sheets.setdefault(made.currency if made else "?", _Sheet())
        sheet.spent += found.cost
        if ending.status == "answered":
            _compare(sheet, found, made, ending.kind.sensitivity, day)
    for ending, found in was.ended.items() if was else ():
        made = policy(ending.kind.policy)
        sheets.setdefault(made.currency if made else "?", _Sheet()).before += found.cost
    ordered = sorted(sheets.items(), key=lambda pair: (-pair[1].spent, pair[0]))
    if ordered:
        ordered[0][1].shadows, ordered[0][1].before = now.shadows, ordered[0][1].before + (was.shadows if was else 0.0)
    return [sheet.told(currency, compared=was is not None) for currency, sheet in ordered]


def _compare(sheet: _Sheet, found: Sum, policy: Policy | None, data_class: str, day: datetime.date) -> None:
    name = strongest(policy, data_class, day) if policy else None
    price = policy.lanes[name].price if policy and name else None
    if price is None:
        sheet.left_out += found.times
        return
    sheet.compared += found.counted
    sheet.left_out += found.times - found.counted
    sheet.cost += found.counted_cost
    sheet.premium += price.cost(found.tokens_in, found.tokens_out)
