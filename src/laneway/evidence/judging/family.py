"""family: the names that a model goes by in, the families it comes from out.

A judge prefers answers that read like its own, so that it may not grade its own family. Models of one maker that were
made from each other are one family; a model that was distilled from another belongs to both. A name that the table
does not know stands for its own first word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["FAMILIES", "families"]

FAMILIES = {
    "gpt": r"gpt(?!q|-?sw3|-?neo|-?j(?![a-z]))|(?<![a-z0-9])o[1-9](?![a-z0-9])|davinci|codex",
    "claude": r"claude",
    "gemini and gemma": r"gemini|gemma",
    "mistral": r"mistral|mixtral|ministral|magistral|codestral|devstral|mathstral|pixtral|voxtral",
    "llama": r"(?<!o)llama(?![-.]?(?:cpp|file|server))|vicuna|alpaca|tulu",
    "qwen": r"qwen|qwq|qvq",
    "phi": r"(?<![a-z])phi(?![a-z])",
    "deepseek": r"deepseek",
    "smollm": r"smol(?:lm|vlm)",
    "command": r"command-?(?:a|r)(?![a-z])|cohere|c4ai|(?<![a-z])aya(?![a-z])",
    "granite": r"granite",
    "nemotron": r"nemotron",
    "falcon": r"falcon",
    "olmo": r"olmo",
    "grok": r"grok",
    "glm": r"glm",
    "kimi": r"kimi|moonshot",
    "minimax": r"minimax",
    "nova": r"(?<![a-z])nova(?![a-z])|(?<![a-z])titan(?![a-z])",
    "jamba": r"jamba|jurassic",
    "yi": r"(?<![a-z])yi(?![a-z])",
    "hunyuan": r"hunyuan",
    "ernie": r"ernie",
    "exaone": r"exaone",
    "internlm": r"internlm",
    "gpt-sw3": r"gpt-?sw3",
    "viking and poro": r"(?<![a-z])(?:viking|poro)(?![a-z])",
    "apertus": r"apertus",
    "eurollm": r"eurollm",
}
"""Each family, and what in a model's name, in lower case, says that it is of it."""

_FIRST_WORD = re.compile(r"[^\W\d_]+")


def families(names: Iterable[str]) -> frozenset[str]:
    """The families that any of a model's names speak of; their first words where none is known; none of no name."""
    lower = [name.lower() for name in names if name.strip()]
    known = {family for family, marks in FAMILIES.items() if any(re.search(marks, name) for name in lower)}
    return frozenset(known or map(_own_word, lower))


def _own_word(name: str) -> str:
    last = name.rpartition("/")[2]
    found = _FIRST_WORD.search(last)
    return f"{found[0] if found else last}…"
