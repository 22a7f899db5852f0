"""Difficulty: how hard a request looks, as a sum of named points that anyone can check.

Comes from `classify`. Looks at the last user message, and at the whole only for its length. A rough
signal for routes, until a fitted gate replaces it; an estimate that fails counts as hard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from laneway.request import Request
from laneway.signals import Difficulty, Evidence

__all__ = ["HARD_AT", "estimate", "user_texts"]

HARD_AT = 2
_LONG_INPUT = 24_000
_MANY_MESSAGES = 12
_SCANNED = 4_096
"""Characters read from each end of a long message: instructions stand at either."""

_WEIGHTS = {"proof": 2, "reasoning": 1, "maths": 1, "documents": 1, "chore": -1}

# Each term matches at the start of a word, so that stems cover a language's endings.
_TERMS = {
    "proof": """
        prove that|prove the|prove by|proof that|derive the|derive a|derive an|step by step|step-by-step
        trade-off|tradeoff|root cause|race condition|deadlock|counterexample|from first principles
        bevisa att|bevisa den|härled|steg för steg|grundorsak|rotorsak|avväg
        bevis at|utled|steg for steg|rotårsak|årsaken til feil|avvei|trin for trin|grundårsag|afvej
        todista|johda kaava|vaihe vaiheelta|askel askeleelta|juurisyy|perimmäinen syy|punnitse
        beweise|leite die|leiten sie|schritt für schritt|grundursache|ursachenanalyse|abwäg|wäge""",
    "reasoning": """
        analy|compare|assess|evaluate|justify|critique|debug|explain why|reason about|optimi|diagnos|design a
        jämför|bedöm|utvärdera|motivera|resonera|felsök|förklara varför
        sammenlign|vurder|begrunn|begrund|drøft|feilsøk|fejlsøg|forklar hvorfor
        vertaile|arvioi|perustele|selitä miksi|pohdi
        vergleich|bewert|begründe|beurteil|erörter|erkläre warum|erklären sie, warum""",
    "maths": """
        theorem|equation|eigenvalue|the integral|derivative of|probability that
        ekvation|integralen|sannolikheten|likning|ligning|sannsynlighet|sandsynlighed
        yhtälö|todennäköisyy|gleichung|wahrscheinlichkeit""",
    "documents": """
        document 2|document b|exhibit 2|exhibit b|annex 2|annex b|appendix 2|appendix b|attachment 2
        contract 2|dokument 2|bilaga 2|bilag 2|vedlegg 2|liite 2|asiakirja 2|anlage 2|vertrag 2|avtal 2""",
    "chore": """
        summar|translat|rewrite|rephrase|proofread|fix the grammar|fix the spelling|write a commit message
        shorten|sammanfatta|översätt|skriv om|korrekturläs|oppsummer|oversett|omskriv|opsummer|oversæt
        tiivistä|käännä|kirjoita uudelleen|oikolue|fasse|fassen sie|übersetze|formuliere|kürze""",
}
_CODE = ("```", "def ", "#include", "function(", "function (", "public static", "fn main")
_MATHS = ("\\frac", "\\int", "\\sum", "$$", "∫", "∑", "√", "∀", "∃")
_THIRD_PART = ("\n3.", "\n3)", "\nc)", "\n(c)")
_CHORE_WITHIN = 80  # A chore is what the message opens with; later on the word is only mentioned.


def _compile() -> tuple[re.Pattern[str], dict[str, str]]:
    kinds = {term.strip(): kind for kind, text in _TERMS.items() for term in re.split(r"[|\n]", text)}
    kinds.pop("", None)
    by_letter: dict[str, list[str]] = {}
    for term in sorted(kinds, key=len, reverse=True):
        by_letter.setdefault(term[0], []).append(re.escape(term[1:]))
    # Grouped by first letter, a word that starts no term costs one comparison a letter; and a term with what stands
    # before it can be looked for from one such sign to the next.
    branches = [f"{letter}(?:{'|'.join(rests)})" for letter, rests in by_letter.items()]
    return re.compile(rf"[^0-9a-z_](?<=\W)({'|'.join(branches)})"), kinds


_PATTERN, _KINDS = _compile()


def estimate(request: Request) -> tuple[Difficulty, tuple[Evidence, ...]]:
    """Hard where the points reach `HARD_AT`, else routine, with every contributor and its points."""
    try:
        place, text = next(user_texts(request), ("messages", ""))
        points = [*_of_whole(request), *((place, kind, n) for kind, n in _of_text(_ends(text)))]
    except Exception:  # noqa: BLE001  # an estimate that fails must not pass as easy
        return "hard", (Evidence("difficulty", "request", "failed", "hard"),)
    hard = sum(n for _, _, n in points) >= HARD_AT
    found = points or [(place, "nothing-hard", 0)]
    return "hard" if hard else "routine", tuple(Evidence("difficulty", p, k, f"{n:+d}") for p, k, n in found)


def _of_whole(request: Request) -> Iterator[tuple[str, str, int]]:
    if len(request.canonical) > _LONG_INPUT:
        yield "request", "long-input", 1
    messages = request.body.get("messages")
    if isinstance(messages, list) and len(messages) >= _MANY_MESSAGES:
        yield "messages", "many-messages", 1
    if len(request.unreadable) > 1:
        yield request.unreadable[0], "several-files", 1
    if request.tools:
        yield "tools", "tools", 1


def _of_text(text: str) -> Iterator[tuple[str, int]]:
    lowered = text.lower()
    terms: dict[str, set[str]] = {}
    for match in _PATTERN.finditer(f" {lowered}"):
        kind = _KINDS[match[1]]
        if kind != "chore" or match.start() < _CHORE_WITHIN:
            terms.setdefault(kind, set()).add(match[1])
    if any(map(text.__contains__, _MATHS)):
        terms.setdefault("maths", set()).add("sign")
    for kind, found in terms.items():
        # Two different reasoning words make a task of them; the other kinds count once.
        yield kind, min(len(found), 2) if kind == "reasoning" else _WEIGHTS[kind]
    if any(map(text.__contains__, _CODE)):
        yield "code", 1
    if text.count("?") >= 3 or any(map(lowered.__contains__, _THIRD_PART)):
        yield "several-questions", 1


def user_texts(request: Request) -> Iterator[tuple[str, str]]:
    """What the user says, with its place, the latest first."""
    messages = request.body.get("messages")
    assert isinstance(messages, list)
    for i in range(len(messages) - 1, -1, -1):
        if messages[i].get("role") == "user":
            yield f"messages[{i}].content", _text_of(messages[i].get("content"))


def _text_of(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _SCANNED else f"{text[:_SCANNED]}\n{text[-_SCANNED:]}"
