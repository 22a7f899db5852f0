"""Countries and the sets of countries that policies name.

Owns the built-in sets with the date of the list. A region fact is a set of ISO 3166-1 alpha-2 codes in
which something may happen; `None` is unknown and satisfies no zone. `DEVICE` stands for this machine.
"""

from __future__ import annotations

__all__ = ["ADEQUATE", "AS_OF", "DEVICE", "EEA", "EU", "SETS", "region"]

AS_OF = "2025-10-31"
"""Date of the adequacy list below (European Commission, decisions under GDPR Art. 45)."""

EU = frozenset(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE".split()  # noqa: SIM905
)
EEA = EU | {"IS", "LI", "NO"}
ADEQUATE = frozenset({"AD", "AR", "CA", "CH", "FO", "GB", "GG", "IL", "IM", "JE", "JP", "KR", "NZ", "UY"})
"""Adequate, never EU: a transfer there needs no further basis (US only under a transfer mechanism)."""
DEVICE = "device"

SETS = {"EU": EU, "EEA": EEA, "ADEQUATE": ADEQUATE, "NORDIC": frozenset({"DK", "FI", "IS", "NO", "SE"})}


def region(name: str) -> frozenset[str] | None:
    """The countries that `name` stands for, or None where it names no country or set."""
    if name in SETS:
        return SETS[name]
    if name == DEVICE or (len(name) == 2 and name.isascii() and name.isalpha() and name.isupper()):
        return frozenset({name})
    return None
