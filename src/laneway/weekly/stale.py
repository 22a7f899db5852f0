"""stale: a policy and a day in; what counts no more, or soon will not, out.

As `laneway check` warns of it: verifications, waivers, evidence, the approval, shadows.
"""

from __future__ import annotations

import datetime

from laneway.evidence.owed import findings
from laneway.evidence.standing import stand
from laneway.policy import Policy
from laneway.proof.lint import lint
from laneway.weekly.value import Stale

__all__ = ["stale"]

_CODES = ("stale-verification", "stale-waiver", "stale-evidence", "stale-approval", "shadow-over", "unproven",
          "unverified", "ledger")  # fmt: skip


def stale(policy: Policy, today: datetime.date) -> list[Stale]:
    """In the order of the policy file."""
    found = [one for one in (*lint(policy, today), *findings(stand(policy), today)) if one.code in _CODES]
    found.sort(key=lambda one: one.line)
    return [Stale(one.code, one.about, one.message, one.remedy) for one in found]
