"""kinds: the kinds of request of the week, and what the policy of the week means to happen to each, written by hand.

The policy is the pack `three-lanes` with a judge, a review and a shadow added; `policy_of` makes it of the pack's
text. The rules' names below are the pack's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["KINDS", "LANES", "PRICES", "STRENGTH", "Kind", "policy_of"]

_PACK = Path(__file__).resolve().parents[2] / "policies" / "three-lanes" / "laneway.yaml"
LANES = {"home": "qwen3-14b-q4", "shared": "llama-3.3-70b-instruct", "premium": "gpt-5-2026-08"}
"""The lanes, weakest first, and the models that they should be."""
STRENGTH = tuple(LANES)
PRICES = {"home": (0.0, 0.0), "shared": (0.60, 0.80), "premium": (1.25, 10.00)}
"""Money a million tokens, in and out."""

_DEADLINES = "deadlines: {interactive: {first_byte: 2s, total: 6s}, background: {total: 4s}, batch: {total: 4s}}"
_MORE = """
reviews:
  - {id: secretary-reads, says: The secretary reads confidential board papers before anyone else gets them., when: {workload: board-paper, sensitivity: {at_least: confidential}}, release: after-approval}

shadow:
  - {id: home-tried, says: Would home do for what the shared lane does?, when: {sensitivity: [internal, public]}, lanes: [home], share: 0.04, judge: [premium], budget: 4.00, until: 2027-02-28}
"""


def policy_of(urls: Mapping[str, str]) -> str:
    """The text of the week's policy over lanes at these addresses."""
    text = _PACK.read_text()
    text = re.sub(r"^approved: .*\n", "", text, flags=re.M)
    for name, url in urls.items():
        text = re.sub(
            rf"(?m)^(  {name}:\n(?:    .*\n)*?    url: ).*", rf"\g<1>{url}\n    address: private-allowed", text
        )
    text = text.replace("tool-call]\n  evidence", "tool-call]\n  judge: strongest\n  evidence")
    text = re.sub(r"^deadlines: .*", _DEADLINES, text, flags=re.M)
    return text.replace("\nmust:", f"{_MORE}\nmust:")


class Kind(NamedTuple):
    """What is asked, how often (`weight`), and what should become of it.

    `lanes` in the order in which they are tried; `mend` is the lane that redoes a weak answer, if any; `rule` ranked
    the lanes and `fallback` says what follows a failure, and the request is `on_failure` where no lane answers.
    `turned` is the error of a request that no lane is called for. `unrecorded` ones are no requests to the log.
    `sensitivity` is the request's class in the end. Where detection makes it that, `texts` says what is found in each.
    """

    name: str
    weight: float
    texts: Mapping[str, str] | tuple[str, ...]
    sensitivity: str = "internal"
    model: str = "auto"
    labels: Mapping[str, str] = {}
    workload: str = "(none)"
    rule: str = ""
    lanes: tuple[str, ...] = ()
    mend: str = ""
    fallback: str = ""
    on_failure: str = "refused"
    turned: tuple[str, str] = ("", "")
    wants: str = ""
    streams: float = 0.3
    unrecorded: bool = False


_ROUTINE = (
    "Write two lines for our website: the harbour office is closed on Friday.",
    "Skriv två rader till vår webbplats: hamnkontoret är stängt på fredag.",
    "Skriv to linjer til nettsiden: havnekontoret er stengt på fredag.",
    "Skriv to linjer til hjemmesiden: havnekontoret har lukket på fredag.",
    "Kirjoita kaksi riviä verkkosivulle: satamatoimisto on perjantaina kiinni.",
    "Schreibe zwei Zeilen für die Website: Das Hafenbüro ist am Freitag zu.",
)
_HARD = (
    "Compare the two pension models and justify which one carries less risk for us.",
    "Jämför de två pensionsmodellerna och motivera vilken som har lägre risk.",
    "Vurder begge modellene og begrunn hvilken som passer best for oss.",
    "Vertaile malleja ja perustele, kumpi sopii meille paremmin.",
    "Vergleiche die beiden Modelle und begründe, welches besser passt.",
)
_CLAIM = (
    "Write that the claim has been settled and that the money arrives on Monday.",
    "Skriv att skadan är reglerad och att pengarna kommer på måndag.",
    "Skriv at skaden er gjort opp og at pengene kommer mandag.",
    "Kirjoita, että vahinko on korvattu ja rahat tulevat maanantaina.",
)
_MAIL = (
    "Which department should this mail go to? The sender asks about a boat that was damaged in the harbour.",
    "Vilken avdelning ska brevet till? Avsändaren frågar om en båt som skadats i hamnen.",
)
_PERSON = {
    "Skriv till försäkringstagaren 670919-9530 att skadan är reglerad.": "se.personnummer",
    "Lag et utkast til fullmakt for 15108695088.": "no.fodselsnummer",
    "Skriv et tillæg for 211062-5629.": "dk.cpr",
    "Lisää osapuoleksi 131052-308T.": "fi.hetu",
    "Der Käufer hat die Steuer-ID 36574261809; ergänze das Rubrum.": "de.idnr",
}
_ACCOUNT = {
    "The premium was paid twice with card 4111 1111 1111 1111; write an apology.": "card",
    "Our example names the account GB82 WEST 1234 5698 7654 32; shorten it.": "iban",
}
_BOARD = (
    "Write a summary for the board of what the new harbour would mean.",
    "Sammanfatta för styrelsen vad hamnen innebär.",
)
_ALL, _FAR = ("shared", "home", "premium"), ("premium", "shared", "home")

KINDS = (
    Kind("public note", 14, _ROUTINE, "public", labels={"sensitivity": "public"}, rule="routine-shared", lanes=_ALL,
         mend="premium", fallback="next-one"),
    Kind("internal note", 16, _ROUTINE, rule="routine-shared", lanes=_ALL, mend="premium", fallback="next-one"),
    Kind("as JSON", 8, ("Give the opening hours of the office as a JSON object.",), rule="routine-shared", lanes=_ALL,
         mend="premium", fallback="next-one", wants="json"),
    Kind("with a tool", 4, ("Which harbour is nearest? Use the tool.",), rule="routine-shared", lanes=_ALL,
         mend="premium", fallback="next-one", wants="tool", streams=0.0),
    Kind("hard", 10, _HARD, rule="hard-or-high", lanes=_FAR, mend="premium", fallback="next-one"),
    Kind("hard, tight", 2, _HARD, labels={"ceiling": "0.0005"}, rule="hard-or-high", lanes=("shared", "home"),
         mend="shared", fallback="next-one"),
    Kind("for nothing", 1, _ROUTINE, labels={"ceiling": "0"}, rule="routine-shared", lanes=("home",),
         fallback="next-one"),
    Kind("claim", 12, _CLAIM, "confidential", model="claims-letter", workload="claims-letter", rule="sensitive-near", lanes=("home",),
         mend="shared", fallback="sensitive-ours"),
    Kind("hard claim", 4, _HARD, "confidential", model="claims-letter", workload="claims-letter", rule="hard-or-high",
         lanes=("shared", "home"), mend="shared", fallback="sensitive-ours"),
    Kind("board paper", 4, _BOARD, model="board-paper", workload="board-paper", rule="hard-or-high",
         lanes=("premium",), fallback="high-waits", on_failure="held"),
    Kind("confidential paper", 1, _BOARD, "confidential", model="board-paper", labels={"sensitivity": "confidential"},
         workload="board-paper", turned=("held", "approval_required")),
    Kind("mail", 12, _MAIL, model="mail-sorting", workload="mail-sorting", rule="batch-cheap",
         lanes=("home", "shared", "premium"), mend="premium", fallback="next-one", streams=0.0),
    Kind("mail with a person", 2, _PERSON, "restricted", model="mail-sorting", workload="mail-sorting", rule="batch-cheap",
         lanes=("home",), fallback="sensitive-ours", streams=0.0),
    Kind("person", 4, _PERSON, "restricted", labels={"sensitivity": "internal"}, rule="sensitive-near", lanes=("home",),
         fallback="sensitive-ours"),
    Kind("account", 3, _ACCOUNT, "confidential", rule="sensitive-near", lanes=("home",), mend="shared", fallback="sensitive-ours"),
    Kind("pinned", 2, _ROUTINE, model="lane/shared", rule="routine-shared", lanes=("shared",), fallback="request"),
    Kind("pinned behind the wall", 0.6, _PERSON, "restricted", model="lane/premium", turned=("refused", "no_lane")),
    Kind("unknown model", 0.4, _ROUTINE, model="lane/elsewhere", turned=("", "model_not_found"), unrecorded=True),
)  # fmt: skip
