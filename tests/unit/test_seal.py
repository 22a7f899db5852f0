"""seal: an approval is written into any shape of policy file, and shows every later change of its meaning."""

from __future__ import annotations

import datetime
import json

import pytest
from ruamel.yaml import YAML
from tests.policies import FULL, SMALL, TODAY, changed

from laneway.errors import PolicyError
from laneway.policy import Approval
from laneway.policy_file import parse
from laneway.proof.finding import Finding
from laneway.proof.lint import lint
from laneway.seal import sealed

BLOCK = """approved:
  by: >   # who
    The data protection
    officer
  # when
  on: 2026-11-20   # a Friday
  review_every: 60d
# behind it
"""
FLOW = "approved: {by: The data protection officer, on: 2026-11-20, review_every: 60d}\n"
SHAPES = {
    "flow": FULL,
    "block": changed(FLOW, BLOCK),
    "none": changed(FLOW, ""),
    "last": changed(FLOW, "") + FLOW.rstrip("\n"),
    "quoted": changed(FLOW, FLOW.replace("The data protection officer", "'Ann, the officer'").replace("on:", '"on":')),
    "sealed": changed(FLOW, FLOW.replace("60d", f"60d, hash: {'0' * 64}")),
    "CRLF": FULL.replace("\n", "\r\n"),
    "JSON": json.dumps(YAML(typ="safe", pure=True).load(SMALL.replace("2099-01-01", "'2099-01-01'"))),
}


@pytest.mark.parametrize("source", SHAPES.values(), ids=SHAPES)
def test_an_approval_is_written_into_any_shape_of_file(source: str) -> None:
    """The file then loads, says who approved it and when, and carries the hash of what it means."""
    before = parse(source)
    made = parse(sealed(before, by='Åse "the pen" Öberg', on=TODAY))
    assert made.approval is not None
    assert (made.approval.by, made.approval.on, made.approval.hash) == ('Åse "the pen" Öberg', TODAY, before.meaning)
    assert made.approval.review_every == before.fresh_days
    assert made.meaning == before.meaning


@pytest.mark.parametrize("source", [s for name, s in SHAPES.items() if name != "JSON"], ids=lambda s: "")
def test_an_approval_leaves_every_other_line_and_comment_alone(source: str) -> None:
    """Only lines of the approval itself differ."""
    after = sealed(parse(source), by="Bo", on=TODAY)
    about = ("approved", "by:", "  on:", "hash:", "The data protection", "officer", "The data protection officer")
    kept = [line for line in source.splitlines() if not line.strip().startswith(tuple(a.strip() for a in about))]
    left = [line for line in after.splitlines() if not line.strip().startswith(tuple(a.strip() for a in about))]
    assert left == kept
    assert [c for c in ("# who", "# a Friday", "# behind it") if c in source and c not in after] in ([], ["# who"])


def test_an_approval_can_be_written_again_and_again() -> None:
    """A second approval replaces the first and is the same wherever it was written before."""
    once = sealed(parse(FULL), by="Ann", on=datetime.date(2026, 11, 1))
    twice = sealed(parse(once), by="Bo", on=TODAY)
    assert twice == sealed(parse(FULL), by="Bo", on=TODAY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Every key of the grammar, once.", "# Another comment"),
        ("name: Fjord Legal", "name:   'Fjord Legal'  # ours"),
        ("zones: [ours]\n    says: What is restricted never leaves our own machines.", "says: What is restricted never leaves our own machines.\n    zones: [ours]"),
        ("by: The data protection officer, on: 2026-11-20", "by: Bo, on: 2026-11-21"),
        ("  - {when: {matter: merger}, zones: [ours], says: The merger is not discussed with anyone outside.}", "  -\n    when: {matter: merger}\n    zones: [ours]\n    says: >-\n      The merger is not discussed\n      with anyone outside."),
    ],
)  # fmt: skip
def test_layout_comments_and_who_approved_are_not_the_meaning(old: str, new: str) -> None:
    """The hash is the same after them."""
    assert parse(changed(old, new)).meaning == parse(FULL).meaning


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What is restricted never leaves", "What is restricted may leave"),
        ("zones: [ours]\n    says", "zones: [ours, eea]\n    says"),
        ("review_every: 60d", "review_every: 600d"),
        ("try: [shared, ours]", "try: [ours, shared]"),
        ("runs: NO", "runs: SE"),
        ("until: 2026-12-20", "until: 2027-12-20"),
        ("hedge: 1s", "hedge: 2s"),
        ("name: Fjord Legal", "name: Fjord"),
    ],
)
def test_a_changed_sentence_or_rule_is_another_meaning(old: str, new: str) -> None:
    """Changing one word, one rule, a date, an order, or how long facts count changes the hash."""
    assert parse(changed(old, new)).meaning != parse(FULL).meaning


def _approvals(source: str) -> list[Finding]:
    return [finding for finding in lint(parse(source), TODAY) if finding.code.startswith("approval")]


def test_a_changed_word_breaks_the_approval() -> None:
    """The finding is an error that says who approved what is no longer there, and when."""
    source = sealed(parse(SMALL), by="Ann", on=TODAY)
    assert _approvals(source) == []
    (finding,) = _approvals(changed("Ours alone.", "Ours mostly.", source))
    assert (finding.code, finding.severity) == ("approval-broken", "error")
    assert "Ann approved this policy on 2026-11-24" in finding.message
    assert "laneway policy approve --by NAME" in finding.remedy


def test_an_approval_without_a_hash_is_warned_of() -> None:
    """It shows no change, and says so."""
    (finding,) = _approvals(FULL)
    assert (finding.code, finding.severity, finding.about) == ("approval-unsigned", "warning", "approved")


@pytest.mark.parametrize("digest", ["abc", "A" * 64, "0" * 63])
def test_a_hash_by_hand_is_refused(digest: str) -> None:
    """A hash that no approval writes is a problem of the file, with the remedy."""
    with pytest.raises(PolicyError, match="laneway policy approve"):
        parse(changed("review_every: 60d", f"review_every: 60d, hash: {digest}"))


def test_an_approval_built_by_hand_has_no_hash() -> None:
    """What was never written by `approve` claims nothing."""
    assert Approval("us", TODAY).hash is None
