"""What the demo asks: routine and hard work from three fields, in the order in which the story is told."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AFTER_OUTAGE", "REQUESTS", "Scene", "stand_in"]


@dataclass(frozen=True, slots=True)
class Scene:
    """One request: what it shows, its text, and what the client says about it."""

    work: str
    title: str
    text: str
    model: str = "auto"
    labels: dict[str, str] = field(default_factory=dict)
    stream: bool = False


_RESTRICTED = {"Laneway-Sensitivity": "restricted"}

REQUESTS = (
    Scene("dev", "commit message",
        "Write a short commit message for this change: the pager no longer skips the last row."),
    Scene("dev", "race condition (hard)",
        "Find the race condition and explain its root cause step by step:\n```python\nif key not in cache:\n"
        "    cache[key] = load(key)\nreturn cache[key]\n```"),
    Scene("dev", "labelled restricted",
        "Write a git commit message in one line for this change: fixed an off-by-one error in the pager.",
        labels=_RESTRICTED),
    Scene("legal", "who must pay",
        "Who must pay under this clause? The Customer shall pay each invoice within 30 days of receipt.",
        model="contract-review"),
    Scene("legal", "ten risks (home is cut off)",
        "List ten risks in a software licence agreement, with one sentence on each."),
    Scene("legal", "compare clauses (hard)",
        "Compare these two clauses and explain step by step which one exposes us more: (a) liability is limited to "
        "fees paid; (b) liability is unlimited.", model="contract-review"),
    Scene("legal", "personal number inside",
        "Explain step by step what this clause means for the tenant, personal number 811228-9874: the tenant shall "
        "not assign or sublet the premises without consent."),
    Scene("health", "blood pressure (stream)",
        "What is systolic blood pressure? Answer in one sentence.", stream=True),
    Scene("health", "summary of a study",
        "Summarise in one sentence for the public: Hand washing reduced the rate of respiratory infections by 21% "
        "in a study of 5,000 households."),
    Scene("health", "trial result (high stakes)",
        "Summarise in one sentence: In a trial of 1,200 adults, drug X lowered blood pressure more than placebo. "
        "Side effects were mild and similar in both groups.", model="evidence-synthesis"),
)  # fmt: skip

AFTER_OUTAGE = (
    Scene("dev", "home stopped: internal",
        "Write a short commit message for this change: the pager no longer skips the last row."),
    Scene("health", "home stopped: restricted",
        "Summarise in one sentence: the patient sleeps badly and has tried two drugs.", labels=_RESTRICTED),
)  # fmt: skip

_SCRIPT = (
    ("race condition", "Two threads can both see the key missing and both load it; check and store must be one step, "
     "under a lock."),
    ("ten risks", "1. Liability caps. 2. Audit rights. 3. Renewal. 4. Price rises. 5. Data location. 6. Subcontractors."
     " 7. Exit. 8. Warranty limits. 9. IP claims. 10. Governing law. Each needs one owner before signature."),
    ("trial of 1,200", "In 1,200 adults drug X lowered blood pressure more than placebo, with mild side effects;"
     " the size of the effect is not stated."),
    ("commit message", "Show the last row in the pager"),
)  # fmt: skip


def stand_in(body: dict[str, object]) -> str:
    """What the premium stand-in answers: written beforehand, and saying so where nothing fits."""
    asked = str(body.get("messages"))
    return next((text for mark, text in _SCRIPT if mark in asked), "A scripted answer of the premium stand-in.")
