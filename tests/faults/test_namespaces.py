"""The wall seen from outside the process: what leaves the server's network namespace."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.namespaces import PREMIUM, broken, missing, runs


@pytest.mark.skipif(bool(missing()), reason=missing() or "namespaces can be used")
def test_no_frame_of_a_restricted_request_leaves_for_an_external_lane(tmp_path: Path) -> None:
    """Restricted requests under faults send no frame there, public ones do, and a planted path is seen."""
    seen = runs(tmp_path, "quick")
    assert broken(seen) == []
    assert seen["restricted"].requests > 50
    assert seen["restricted"].to(PREMIUM) == (0, 0, 0, 0)
