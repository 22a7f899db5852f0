"""Strict YAML: scalars stay text, cleverness is refused with its place, and readers say what they expected."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.errors import PolicyError
from laneway.yaml_nodes import (
    MAX_BYTES,
    MAX_DEPTH,
    Entries,
    Node,
    Reading,
    compose,
    date,
    days,
    each,
    flag,
    listed,
    number,
    one_of,
    seconds,
    text,
    whole,
)  # fmt: skip


def read(reader: Callable[[Node, Reading], Any], source: str) -> Any:
    """What `reader` makes of `source`; raises PolicyError for what it notes."""
    reading = Reading("f.yaml")
    value = reading.attempt(reader, compose(source, "f.yaml"))
    reading.finish()
    return value


def refused(reader: Callable[[Node, Reading], Any], source: str) -> str:
    """The one problem that reading `source` gives."""
    with pytest.raises(PolicyError) as caught:
        read(reader, source)
    (problem,) = caught.value.problems
    return str(problem)


def mapping(node: Node, reading: Reading) -> dict[str, str]:
    """A mapping of texts with the known keys `lanes` and `zones`."""
    entries = Entries(node, reading, ("lanes", "zones"), "this test")
    return {key: entries.need(key, text, "this test") for key in entries.nodes}


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "null", "~", "1_000", "12:30", "0x1f", "1e3", "2026-11-24", "NO"]
)
def test_text_is_what_is_written(word: str) -> None:
    """What YAML would turn into a truth value, a number, a time or nothing stays the text that was written."""
    assert read(text, word) == word


@pytest.mark.parametrize(
    ("raw", "value"), [("0", 0), ("12", 12), ("0.40", 0.4), ("007", 7), ("1.123456789", 1.123456789)]
)
def test_a_number_is_plain(raw: str, value: float) -> None:
    """A number is digits, with decimals after a point if any."""
    assert read(number, raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        "1_000",
        "12:30",
        "-1",
        "+1",
        "1e3",
        ".5",
        "1.",
        "1,5",
        "0x10",
        "85%",
        "nan",
        ".inf",
        "ten",
        "٣",
        "9" * 16,
        '"1 "',
    ],
)
def test_a_number_is_nothing_else(raw: str) -> None:
    """Signs, exponents, underscores, times, percent signs and foreign digits are no numbers."""
    assert "expected a plain number such as 12 or 0.40" in refused(number, raw)


@pytest.mark.parametrize("raw", ["1.5", "-1", "1_000", "x", "9" * 13])
def test_a_whole_number_has_no_decimals(raw: str) -> None:
    """A whole number is digits alone."""
    assert "expected a whole number" in refused(whole, raw)
    assert read(whole, "600") == 600


@pytest.mark.parametrize(
    "raw", ["2026-02-30", "24-11-2026", "2026-1-1", "20261124", "2026-11-24T10:00", "tomorrow", "２０２６-11-24"]
)
def test_a_date_is_a_calendar_date(raw: str) -> None:
    """A date is YYYY-MM-DD and exists in the calendar."""
    assert "expected a date such as 2026-11-24" in refused(date, raw)
    assert read(date, "2028-02-29") == datetime.date(2028, 2, 29)


@pytest.mark.parametrize(
    ("raw", "value"), [("4s", 4), ("0.5s", 0.5), ("10m", 600), ("24h", 86400), ("90d", 7776000), ("0d", 0)]
)
def test_a_duration_has_a_unit(raw: str, value: float) -> None:
    """A duration is a number with s, m, h or d."""
    assert read(seconds, raw) == value


@pytest.mark.parametrize("raw", ["4", "4 s", "4ms", "1h30m", "-4s", "4S", "1w", "PT4S"])
def test_a_duration_is_nothing_else(raw: str) -> None:
    """Everything else is refused with an example of what is meant."""
    assert "expected a duration such as 4s, 10m, 24h or 90d" in refused(seconds, raw)


def test_days_are_whole() -> None:
    """Days may be written in hours, but must be whole."""
    assert read(days, "48h") == 2
    assert "expected whole days such as 90d, not `36h`" in refused(days, "36h")


@pytest.mark.parametrize("raw", ["yes", "True", "on", "1"])
def test_a_flag_is_true_or_false(raw: str) -> None:
    """A flag is `true` or `false` and no other word for it."""
    assert "unknown value" in refused(flag, raw)
    assert (read(flag, "true"), read(flag, "false")) == (True, False)


def test_one_of_suggests_the_nearest_word() -> None:
    """An unknown word gives the word that was probably meant."""
    assert refused(one_of(["premium", "local"], "kind"), "premum").endswith(
        "unknown kind `premum`; did you mean `premium`?"
    )


def test_a_list_may_be_a_single_value_only_where_it_says_so() -> None:
    """`listed` takes one value for a list of one, `each` does not."""
    assert read(listed(text), "a") == ("a",)
    assert read(each(text), "[a, b]") == ("a", "b")
    assert "expected a list here" in refused(each(text), "a")


def test_every_wrong_item_of_a_list_is_reported() -> None:
    """One wrong item does not hide the next."""
    with pytest.raises(PolicyError) as caught:
        read(each(whole), "[1, x, 2, y]")
    assert [(p.line, p.column) for p in caught.value.problems] == [(1, 5), (1, 11)]


def test_an_unknown_key_gives_its_place_and_the_key_meant() -> None:
    """`lanez` is reported where it stands, with `lanes` as the remedy."""
    assert (
        refused(mapping, "zones: a\nlanez: b") == "f.yaml:2:1: unknown key `lanez` in this test; did you mean `lanes`?"
    )


def test_a_key_far_from_all_gives_the_known_ones() -> None:
    """Where no known key is near, the known ones are listed."""
    assert refused(mapping, "xyz: a").endswith("unknown key `xyz` in this test; known here: lanes, zones")


def test_a_duplicate_key_gives_the_second_place() -> None:
    """A key that stands twice is reported at its second place and never silently wins."""
    assert refused(mapping, "lanes: a\nlanes: b") == "f.yaml:2:1: duplicate key `lanes` in this test"


def test_keys_that_yaml_would_make_equal_stay_apart() -> None:
    """`no` and `false` are two words, and `1` and `01` are."""
    entries = read(lambda n, r: Entries(n, r, None, "x").nodes, "no: a\nfalse: b\n1: c\n01: d")
    assert list(entries) == ["no", "false", "1", "01"]


@pytest.mark.parametrize("source", ["[a]: b", "{a: b}: c", "? [x]\n: y", "'': a", "? \n: a"])
def test_a_key_is_one_value(source: str) -> None:
    """A list, a mapping or nothing cannot be a key."""
    assert refused(mapping, source).startswith("f.yaml:1:")


def test_a_missing_key_is_named() -> None:
    """A mapping that lacks what it needs says which key, where the mapping begins."""
    reader = lambda n, r: Entries(n, r, ("url",), "lane `x`").need("url", text, "lane `x`")  # noqa: E731
    assert refused(reader, "\n  {}") == "f.yaml:2:3: lane `x` needs `url`"


@pytest.mark.parametrize(
    ("source", "place", "says"),
    [
        ("a: &x 1", "1:4", "anchors and aliases are not allowed; write the value out"),
        ("a: [&x 1]\nb:\n  - *x", "3:5", "anchors and aliases are not allowed"),
        ("&top {a: 1}", "1:1", "anchors and aliases"),
        ("a: !!int 1", "1:4", "YAML tags are not allowed"),
        ("a: !!python/object:os.system {}", "1:4", "YAML tags are not allowed"),
        ("a: !mine [1]", "1:4", "YAML tags are not allowed: !mine"),
        ("a:\n\tb: 1", "2:1", "tabs are not allowed"),
        ("a:\n- b\n\t- c", "3:1", "tabs are not allowed"),
        ("a: [1", "1:6", "not valid YAML"),
        ("a: 'x", "1:6", "not valid YAML"),
        ("a: b: c", "1:5", "not valid YAML"),
        ("a: 1\n---\nb: 1", "2:1", "not valid YAML"),
        ("a: @b", "1:4", "not valid YAML"),
    ],
)
def test_cleverness_and_bad_syntax_are_refused_at_their_place(source: str, place: str, says: str) -> None:
    """Anchors, aliases, tags, tabs as indentation, several documents and broken syntax are errors with a place."""
    with pytest.raises(PolicyError) as caught:
        compose(source, "f.yaml")
    told = [str(problem) for problem in caught.value.problems]
    assert any(line.startswith(f"f.yaml:{place}: ") and says in line for line in told), told


def test_a_tab_between_key_and_value_is_refused_inside_braces_too() -> None:
    """A tab is an error wherever it stands between tokens, as the module promises."""
    with pytest.raises(PolicyError):
        compose("a: {b:\tc}", "f.yaml")


def test_a_merge_key_is_an_ordinary_unknown_key() -> None:
    """`<<` does not merge."""
    assert "unknown key `<<`" in refused(mapping, "<<: {lanes: a}")


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    """A file of aliases to aliases is refused at once, whatever it would expand to."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))
    started = time.perf_counter()
    with pytest.raises(PolicyError, match="anchors and aliases"):
        compose(bomb, "f.yaml")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_file_that_is_too_deep_is_refused(opening: str) -> None:
    """Nesting beyond the limit is an error with its place, in braces and by indentation alike."""
    with pytest.raises(PolicyError) as caught:
        compose(opening * 50_000, "f.yaml")
    assert str(caught.value).startswith("f.yaml:1:")
    assert f"nested deeper than {MAX_DEPTH} levels" in str(caught.value)


def test_the_deepest_allowed_nesting_is_read() -> None:
    """Exactly the limit is not too deep."""
    compose("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f.yaml")


def test_a_file_that_is_too_long_is_refused_unread() -> None:
    """A file beyond the limit is refused by its size in bytes, not in characters."""
    for source in ("#" * (MAX_BYTES + 1), "å" * (MAX_BYTES // 2 + 1)):
        with pytest.raises(PolicyError, match=f"longer than {MAX_BYTES} bytes"):
            compose(source, "f.yaml")


@pytest.mark.parametrize("source", ["", " ", "\n\n", "# only a remark\n", "---\n...\n", "\ufeff"])
def test_an_empty_file_says_how_to_begin(source: str) -> None:
    """A file without content is an error that names `laneway init`, not an empty policy."""
    with pytest.raises(PolicyError, match=r"the file is empty; start with `laneway init`|empty value"):
        read(text, source)


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ufffe"])
def test_a_control_character_is_refused_at_its_place(character: str) -> None:
    """A character that YAML forbids is an error with its line and column."""
    with pytest.raises(PolicyError) as caught:
        compose(f"a: b\nc: d{character}e\n", "f.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (2, 5)


def test_text_that_is_no_unicode_is_a_policy_error() -> None:
    """A lone surrogate in the text of a policy is a PolicyError, like everything else that is wrong with it."""
    with pytest.raises(PolicyError):
        compose("a: \ud800", "f.yaml")


def test_an_escape_that_gives_no_unicode_is_refused() -> None:
    """A value that could never be printed or recorded (a lone surrogate by escape) is refused when it is read."""
    with pytest.raises(PolicyError):
        read(text, '"\\ud800"')


@given(st.text(alphabet=st.sampled_from("ab:-?[]{},#&*!|>'\"%@` \n\t0._~<=")) | st.text(max_size=60))
def test_any_text_is_read_or_refused(source: str) -> None:
    """Whatever the text, it is read or gives a PolicyError, and nothing else is raised."""
    try:
        compose(source, "f.yaml")
    except PolicyError as error:
        assert error.problems
