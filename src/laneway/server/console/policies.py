"""policies: the policy page inside the console: the one in force, and those by which was decided before."""

from __future__ import annotations

import datetime

from laneway.errors import PolicyError
from laneway.evidence.owed import owed
from laneway.people.assemble import document
from laneway.people.page import contents, parts
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.proof.verify import verify
from laneway.server.console.site import Asked, Denied, Drawn, Reply, Site
from laneway.store.listing import Listing

__all__ = ["show"]

_SECONDS = 20.0


async def show(site: Site, asked: Asked, hash: str | None = None) -> Reply:
    """The policy in force, or the one whose SHA-256 begins so."""
    policy = site.gateway.active.policy
    if hash is not None and not policy.hash.startswith(hash):
        policy = await site.read(lambda log: _archived(log, hash))
    if hash is not None and hash != policy.hash:
        return Reply.to(f"/policy/{policy.hash}")
    day, current = site.gateway.today(), policy is site.gateway.active.policy
    head, main, listed = await site.drawn(policy.hash, day, lambda: _drawn(site, policy, day, current=current))
    html = site.pages.html
    return await site.page(asked, "sections.html", policy.name, head=html(head), main=html(main), contents=listed,
                           source=policy.text, older=None, newer=None)  # fmt: skip


def _drawn(site: Site, policy: Policy, day: datetime.date, *, current: bool) -> Drawn:
    shown = tuple(owed(site.gateway.active.standing, day)) if current and policy.measured else ()
    made = document(policy, verify(policy, day), day, shown, seconds=_SECONDS)
    head, main = parts(made)
    return head, main, contents(made.sections)


def _archived(log: Listing, hash: str) -> Policy:
    found = [name for (name,) in log.ask("policy_hashes", hash=hash, beyond=hash + "g")]
    text = log.policy_text(found[0]) if len(found) == 1 else None
    if text is None:
        raise Denied(404, "There is no such policy", f"No policy {hash[:64]} was ever in force here.",
                     ("/policy", "The policy in force"))  # fmt: skip
    try:
        return parse(text, f"policy {found[0][:12]}")
    except PolicyError:
        raise Denied(410, "This policy is of an older Laneway", "Its text is in the log; this version does not "
                     "read its grammar any more.", ("/policy", "The policy in force")) from None  # fmt: skip
