"""kept: calibrations in a file, so that a run does not hold a judge against the same labels again.

JSON, for people to read and to keep with the policy; it holds no answer. A calibration is used while the judge's lane,
model and address, what it is told, the labels and the bar are what they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from laneway.evidence.judging.asking import Ask, Judge
from laneway.evidence.judging.calibration import Calibration, JudgeError, Kind, calibrated, stands
from laneway.evidence.judging.labels import Labels
from laneway.source import replace_file

__all__ = ["FILE", "judges_for", "kept"]

FILE = "calibrations.json"
"""Its name, beside the ledger."""

_MODE = 0o644


def kept(path: Path) -> tuple[Calibration, ...]:
    """What is kept; nothing where there is no such file. Raises JudgeError where it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Calibration, ...])
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise JudgeError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        remedy = "delete it, and judges are calibrated again; answers that are on disk are not paid for twice"
        raise JudgeError(f"{path} holds no calibrations ({error}); {remedy}") from None


async def judges_for(
    ask: Ask,
    judges: Iterable[Judge],
    labels: Labels,
    path: Path,
    *,
    at: datetime,
    since: datetime,
    kind: Kind = "grades",
) -> tuple[Calibration, ...]:
    """The calibrations of all `judges` on `labels`: kept ones from `since` on that stand, the others made and kept.

    One process at a time; sets may be calibrated side by side. Raises as `calibrated` and `kept` do, and JudgeError
    where nothing can be kept.
    """
    found = []
    for judge in judges:
        known = next((one for one in kept(path) if one.at >= since and stands(one, kind, judge, labels)), None)
        if known is None:
            known = await calibrated(ask, judge, labels, at=at, kind=kind)
            others = [one for one in kept(path) if (one.kind, one.set, one.lane) != (kind, labels.set, judge.lane)]
            _keep(path, [*others, known])
        found.append(known)
    return tuple(found)


def _keep(path: Path, calibrations: Sequence[Calibration]) -> None:
    ordered = sorted(calibrations, key=lambda one: (one.set, one.kind, one.lane))
    try:
        replace_file(path, msgspec.json.format(msgspec.json.encode(ordered), indent=2) + b"\n", _MODE)
    except OSError as error:
        raise JudgeError(f"{path} cannot be written: {error.strerror}") from None
