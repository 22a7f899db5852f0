"""schema: JSON text and JSON Schemas, read strictly: what is no JSON is none, and no reference is followed."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import jsonschema_rs

__all__ = ["json_of", "validator"]


def json_of(text: str) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, also where it is nested without end."""
    try:
        return json.loads(text, parse_constant=_no_such_number)
    except RecursionError:
        raise ValueError("nested deeper than can be read") from None


def validator(schema: object) -> Any:
    """What says whether a value `is_valid` by the schema. Raises ValueError where it cannot be used."""
    try:
        return jsonschema_rs.validator_for(schema, retriever=_no_retrieval)  # type: ignore[arg-type]  # it judges that
    except Exception:  # noqa: BLE001  # the library raises several kinds, all meaning the same here
        raise ValueError("not a JSON Schema that can be used; remote $ref is not followed") from None


def _no_retrieval(_uri: str) -> NoReturn:
    raise ValueError("remote references are not followed")


def _no_such_number(_name: str) -> NoReturn:
    raise ValueError("JSON has neither NaN nor infinity")
