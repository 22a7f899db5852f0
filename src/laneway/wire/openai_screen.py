"""What of a body cannot be scanned, and what never passes: one walk over the client's fields.

Message text and JSON Schemas are the client's own words, and are left to the detectors. Everywhere else a name
that some lane could read as a file, an address or a price counts, at any depth and in any spelling.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from laneway.errors import RequestError
from laneway.request import strings

__all__ = ["Screened", "screen"]

_MOST = 8
"""Unreadable places that are named: enough to find them all, few enough for the record."""

_DESTINATIONS = """
    api_base base_url api_key url endpoint extra_headers headers organization custom_llm_provider litellm_params
    server_url mcp_servers fallbacks models provider route model_list user_config extra_body extra_query"""

_STORED = "the answer would be kept at the provider"
_PRICED = "it could cost more than the ceiling allows; limit an answer by `max_completion_tokens`"
_FETCHED = "the provider would fetch or change something of its own"
_UNSUPPORTED: dict[str, tuple[tuple[object, ...], str]] = {
    "store": ((False,), _STORED),
    "best_of": ((1,), _PRICED),
    "n_predict": ((), _PRICED),
    "num_predict": ((), _PRICED),
    "max_new_tokens": ((), _PRICED),
    "max_output_tokens": ((), _PRICED),
    "options": ((), _PRICED),
    "service_tier": (("auto", "default"), "it changes the price; leave it out, or write `auto` or `default`"),
    "plugins": ((), _FETCHED),
    "transforms": ((), _FETCHED),
    "web_search_options": ((), _FETCHED),
}
"""By name: the values that pass all the same, and why no other does."""

_MEDIA = {
    "image": "vision", "images": "vision", "image_url": "vision", "input_image": "vision", "image_data": "vision",
    "input_audio": "audio", "audio": "audio", "audio_url": "audio", "audio_data": "audio",
    "file": "pdf", "files": "pdf", "file_id": "pdf", "file_ids": "pdf", "file_data": "pdf", "file_url": "pdf",
    "input_file": "pdf", "video": "", "videos": "", "video_url": "", "inline_data": "", "media_type": "",
    "mime_type": "", "attachment": "", "attachments": "",
}  # fmt: skip
"""By name of a key or a part's type: what the lane must be able to read."""

_ORDINARY_NAMES = """
    model messages stream stream_options include_usage include_obfuscation temperature top_p top_k min_p seed stop
    max_tokens max_completion_tokens n frequency_penalty presence_penalty repetition_penalty logit_bias logprobs
    top_logprobs tools tool_choice parallel_tool_calls functions function_call response_format modalities metadata user
    prediction reasoning reasoning_effort reasoning_content verbosity safety_identifier prompt_cache_key
    prompt_cache_options prompt_cache_retention prompt_cache_breakpoint moderation policy mode ttl effort voice format
    role content name type text refusal id index tool_call_id tool_calls function custom arguments input description
    parameters strict json_schema schema guided_json grammar definition syntax allowed_tools cache_control annotations
    filename"""
"""Neither refused nor a medium, so that the names of most bodies need no second look."""

_TEXTS = frozenset({"role", "content", "name", "tool_call_id", "refusal", "reasoning", "reasoning_content"})
_MESSAGE_OBJECTS = frozenset({"content", "tool_calls", "function_call", "cache_control"})
_PART_TEXTS = frozenset({"type", "text", "refusal"})
_PART_NOTES = frozenset({"cache_control", "prompt_cache_breakpoint", "annotations"})
_TOOL = frozenset({"type", "function", "custom", "strict", "cache_control"})
_OUTPUT_AUDIO = frozenset({"voice", "format"})

_SCHEMA = re.compile(
    r"(?:tools\[\d+\]\.function|functions\[\d+\])\.parameters"
    r"|response_format(?:\.json_schema)?\.schema|guided_json|json_schema"
)
_SCHEMA_KEYS = frozenset({"parameters", "schema", "guided_json", "json_schema"})
_BASE64 = re.compile(r";\s*(?i:base64)\s*[;,]|;\\[nrt](?i:base64)|;(?i:base64)\\[nrt]")
_ADDRESS = re.compile(r"\s*(?:https?:|[a-z][a-z0-9+.-]{1,30}:[/\\])", re.I)


def _bare(name: str) -> str:
    """What some lane could take the name for: without case, look-alikes, marks that nobody sees, or joints."""
    if not name.isascii():
        folded = unicodedata.normalize("NFKC", name).casefold()
        name = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Mn", "Me", "Cc"))
    return name.strip().lower().replace("_", "").replace("-", "")


_ORDINARY = frozenset(_ORDINARY_NAMES.split())
_NAMES = _ORDINARY | _MEDIA.keys() | _UNSUPPORTED.keys() | set(_DESTINATIONS.split())
_BARE_DESTINATIONS = {_bare(name): name for name in _DESTINATIONS.split()}
_BARE_UNSUPPORTED = {_bare(name): name for name in _UNSUPPORTED}
_BARE_MEDIA = {_bare(name): need for name, need in _MEDIA.items()}
_BARE_ORDINARY = {_bare(name): name for name in _ORDINARY}


class Screened(NamedTuple):
    """Places whose content nobody can scan, the first few of them, and what they need of a lane."""

    unreadable: tuple[str, ...]
    needs: tuple[str, ...]


def screen(fields: dict[str, object], canonical: str) -> Screened:
    """What `fields`, whose JSON text is `canonical`, hold beside text. RequestError for what never passes."""
    walk = _Walk(embedded=_BASE64.search(canonical) is not None)
    walk.inside(fields, "", seen=False)
    more = (f"and {walk.more} more",) if walk.more else ()
    return Screened((*walk.places, *more), tuple(need for need in walk.needs if need))


class _Walk:
    """`embedded` says that a `data:` URL stands somewhere, so that each string must be looked at.

    `seen` says of a value that a place around it is unreadable already, and so is not noted again.
    """

    def __init__(self, *, embedded: bool) -> None:
        self.embedded = embedded
        self.places: list[str] = []
        self.more = 0
        self.needs: dict[str, None] = {}

    def note(self, place: str) -> None:
        if len(self.places) < _MOST:
            self.places.append(place)
        else:
            self.more += 1

    def messages(self, messages: list[dict[str, object]]) -> None:
        for i, message in enumerate(messages):
            for key, value in message.items():
                if key in _TEXTS and not self.embedded and isinstance(value, str):
                    continue
                place = f"messages[{i}]"
                unknown = isinstance(value, (dict, list)) and bool(value) and key not in _MESSAGE_OBJECTS
                if unknown:
                    self.note(_at(place, key))
                self.member(key, value, place, seen=unknown)

    def member(self, key: str, value: object, place: str, *, seen: bool = False) -> None:
        """One member of the object at `place`."""
        if value is None:
            return
        if key not in _ORDINARY:
            seen = self.unusual(key, value, place, seen=seen)
        if isinstance(value, str):
            if seen or self.embedded:
                self.inside(value, _at(place, key), seen=seen)
        elif isinstance(value, (dict, list)):
            at = _at(place, key)
            if key in _SCHEMA_KEYS and _SCHEMA.fullmatch(at):
                if self.embedded and any(_BASE64.search(text) for _, text in strings(value)):
                    self.note(at)
            elif at == "messages" and isinstance(value, list):
                self.messages(value)
            elif key == "content" and isinstance(value, list):
                self.parts(value, at, seen=seen)
            elif key == "tools" and isinstance(value, list):
                self.tools(value, at)
            else:
                self.inside(value, at, seen=seen)

    def unusual(self, key: str, value: object, place: str, *, seen: bool) -> bool:
        """A member with a name of no known harmlessness; whether it is unreadable."""
        bare = _bare(key)
        _refuse(key, bare, value, place)
        medium = bare in _BARE_MEDIA and bool(value) and not _is_output_audio(key, value, place)
        if medium:
            self.needs[_BARE_MEDIA[bare]] = None
        if not seen and (medium or (self.embedded and _BASE64.search(key))):
            self.note(_at(place, key))
            return True
        return seen

    def inside(self, value: object, place: str, *, seen: bool) -> None:
        if isinstance(value, str):
            if seen and _ADDRESS.match(value):
                raise _address(place)
            if not seen and self.embedded and _BASE64.search(value):
                self.note(place)
        elif isinstance(value, dict):
            every = seen or self.embedded
            for key, inner in value.items():
                if every or key not in _ORDINARY or isinstance(inner, (dict, list)):
                    self.member(key, inner, place, seen=seen)
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                if isinstance(inner, (str, dict, list)):
                    self.inside(inner, _nth(place, i), seen=seen)

    def parts(self, parts: list[object], place: str, *, seen: bool) -> None:
        for i, part in enumerate(parts):
            if not self.embedded and _is_plain(part):
                continue
            at = _nth(place, i)
            if not isinstance(part, dict):
                self.inside(part, at, seen=seen)
                continue
            unreadable = not _is_readable(part)
            if unreadable:
                if not seen:
                    self.note(at)
                self.needs[_BARE_MEDIA.get(_bare(str(part.get("type"))), "")] = None
            for key, value in part.items():
                if key not in _PART_TEXTS or not isinstance(value, str):
                    self.member(key, value, at, seen=seen or unreadable)
                elif not unreadable:
                    self.inside(value, _at(at, key), seen=False)

    def tools(self, tools: list[object], place: str) -> None:
        for i, tool in enumerate(tools):
            at = _nth(place, i)
            if not isinstance(tool, dict) or tool.get("type", "function") not in ("function", "custom"):
                raise _unsupported(_at(at, "type"), "only tools of type `function` and `custom` pass")
            if not tool.keys() <= _TOOL:
                raise _unsupported(at, "a tool has `type`, and `function` or `custom`, and nothing else")
            self.inside(tool, at, seen=False)


def _is_plain(part: object) -> bool:
    """The usual part, known by a glance."""
    return (
        isinstance(part, dict) and len(part) == 2 and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def _is_readable(part: dict[str, object]) -> bool:
    """Whether a part is text and nothing beside it could be more than a number or a short note."""
    return part.get("type") in ("text", "refusal") and all(
        isinstance(value, str) if key in _PART_TEXTS else key in _PART_NOTES and _is_flat(value)
        for key, value in part.items()
        if isinstance(value, (str, dict, list))
    )


def _is_flat(value: object) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not any(isinstance(each, (dict, list)) for each in inner)


def _is_output_audio(key: str, value: object, place: str) -> bool:
    # At the top `audio` says how the answer should sound.
    return key == "audio" and not place and isinstance(value, dict) and value.keys() <= _OUTPUT_AUDIO


def _is_data(value: object) -> bool:
    return isinstance(value, str) and value[:5].lower() == "data:"


def _at(place: str, key: str) -> str:
    """The place of a member. A name that the client made up is content, and ends it."""
    if place.endswith("…"):
        return place
    if key in _NAMES:
        return f"{place}.{key}" if place else key
    return f"{place or 'request'}…"


def _nth(place: str, i: int) -> str:
    return place if place.endswith("…") else f"{place}[{i}]"


def _refuse(key: str, bare: str, value: object, place: str) -> None:
    """Raise RequestError for a name that no client may send."""
    inner = f"{place}." if place and not place.endswith("…") else place
    if bare in _BARE_DESTINATIONS and not (bare == "url" and _is_data(value)):
        raise _address(inner + _BARE_DESTINATIONS[bare])
    if bare.startswith(("laneway", "xlaneway")) or (bare == "sensitivity" and not place):
        message = (
            "a label of Laneway stands in the body, where nobody reads it; send it as a header such as "
            "`Laneway-Sensitivity`, or in `metadata` as `laneway-sensitivity`"
        )
        raise RequestError(400, "misplaced_label", message, place or "laneway-sensitivity")
    if place == "metadata":  # Names of the client's own; no lane takes a parameter from there.
        return
    if bare in _BARE_ORDINARY:  # Read without regard to case, it would take the place of the name that was read.
        plain = _BARE_ORDINARY[bare]
        raise _unsupported(inner + plain, "a name is spelt in a way that only some lanes would read; spell it so")
    name = _BARE_UNSUPPORTED.get(bare)
    if name is not None and value not in _UNSUPPORTED[name][0]:
        raise _unsupported(inner + name, _UNSUPPORTED[name][1])
    if bare.endswith(("url", "uri", "endpoint")) and isinstance(value, str) and not _is_data(value):
        raise _address(_at(place, key))


def _address(place: str) -> RequestError:
    message = (
        f"`{place}` is not accepted: clients never choose an address, a key or a provider; the policy file does. "
        "Remove it, ask for a lane by `model: lane/NAME`, and send images and files as `data:` URLs"
    )
    return RequestError(400, "client_destination", message, place)


def _unsupported(place: str, why: str) -> RequestError:
    return RequestError(400, "unsupported", f"`{place}` is not passed on with this value: {why}", place)
