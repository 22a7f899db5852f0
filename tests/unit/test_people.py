"""people: the document says what the rules do, whatever their sentences say; its pages are sound and safe."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.policies import FULL, SMALL, TODAY, changed

from laneway import condition
from laneway.condition import ALWAYS, All, Any, Condition, Not
from laneway.people.assemble import document, document_json
from laneway.people.document import Cell, Document, Section
from laneway.people.markdown import markdown
from laneway.people.page import page
from laneway.people.plain import Plain, days, listed, places, seconds
from laneway.policy_file import parse
from laneway.proof.verify import Report, verify
from laneway.regions import EEA, EU
from laneway.seal import sealed

GOLDEN = Path(__file__).with_name("golden-policy.html")


def told(source: str, report: Report | None = None) -> Document:
    """The document of a policy's text on the tests' day."""
    policy = parse(source, "laneway.yaml")
    return document(policy, report or verify(policy, TODAY), TODAY)


def section(made: Document, id: str) -> Section:
    """One section of it."""
    return next(section for section in made.sections if section.id == id)


def rows(made: Document, id: str) -> dict[str, tuple[Cell, ...]]:
    """A section's rows by their first cell."""
    table = section(made, id).table
    return {} if table is None else {row[0].text: row[1:] for row in table.rows}


def fact(name: str, *values: str) -> condition.Test:
    """A test for some words."""
    return condition.Test(name, "in", frozenset(values))


PLAIN = Plain(parse(FULL))
HARD, HIGH, MERGER = fact("difficulty", "hard"), fact("stakes", "high"), fact("matter", "merger")


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (ALWAYS, "For every request"),
        (All((Any((HIGH, HARD)), Not(MERGER))), "Where the stakes are high or the difficulty is hard, and the matter is not merger"),
        (Any((All((HIGH, HARD)), MERGER)), "Where the stakes are high and the difficulty is hard, or the matter is merger"),
        (All((HIGH, Any((HARD, All((MERGER, HARD)))))), "Where the stakes are high, and (the difficulty is hard, or (the matter is merger and the difficulty is hard))"),
        (Not(Any((HIGH, HARD))), "Where it is not so that (the stakes are high or the difficulty is hard)"),
        (Not(Not(HIGH)), "Where the stakes are high"),
        (fact("sensitivity", "confidential", "restricted"), "Where the data is confidential or more sensitive"),
        (fact("sensitivity", "public", "internal"), "Where the data is internal or less sensitive"),
        (fact("sensitivity", "public", "restricted"), "Where the data is public or restricted"),
        (Not(fact("sensitivity", "public")), "Where the data is not public"),
        (condition.Test("tokens", "over", frozenset({8000.0})), "Where the input is over 8000 tokens"),
        (condition.Test("ceiling", "over", frozenset({2.5})), "Where there is no ceiling, or the ceiling is over 2.5 EUR"),
        (Not(condition.Test("ceiling", "over", frozenset({2.0}))), "Where the ceiling is at most 2 EUR"),
        (condition.Test("pages", "at_most", frozenset({100.0})), "Where pages is at most 100"),
        (fact("needs", "vision", "pdf"), "Where the request needs pdf or vision"),
        (Not(fact("needs", "pdf")), "Where the request does not need pdf"),
        (fact("region", *EEA), "Where the asking region is the EEA"),
        (fact("team", "press"), "Where the asking team is press"),
    ],
)  # fmt: skip
def test_a_condition_is_read_out_in_words(tree: Condition, words: str) -> None:
    """Every kind of test and every nesting has words of its own, and none that could be read two ways."""
    assert PLAIN.where(tree) == words


def test_a_rule_after_another_says_that_it_comes_second() -> None:
    """As the first match decides, a later rule speaks only of what is left."""
    assert PLAIN.where(ALWAYS, 1) == "In every other case"
    assert PLAIN.where(HIGH, 2) == "Else where the stakes are high"


def test_what_an_unknown_fact_does_is_said() -> None:
    """A limit also applies where the fact is not stated; a fact that is always known needs no words."""
    said = PLAIN.where(MERGER, unknown_counts=True)
    assert said == "Where the matter is merger (or might be, as the request does not state matter)"
    assert PLAIN.where(HIGH, unknown_counts=True) == "Where the stakes are high"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (places(EEA), "the EEA"),
        (places(EEA | {"device"}), "the EEA and this machine"),
        (places(EU), "the EU"),
        (places(frozenset({"SE", "NO"})), "NO and SE"),
        (places(None), "an unknown place"),
        (seconds(None), "no limit"),
        (seconds(1), "1 second"),
        (seconds(86400), "24 hours"),
        (seconds(90), "90 seconds"),
        (days(1), "1 day"),
        (listed([]), "nothing"),
        (listed(["a", "b", "c"], "or"), "a, b or c"),
    ],
)
def test_amounts_and_places_have_names(said: str, words: str) -> None:
    """Sets of countries by their names, times in the largest unit that fits, lists with a last word."""
    assert said == words


def test_the_words_come_from_the_rule_and_not_from_its_sentence() -> None:
    """A sentence that lies leaves what stands beside it as it was, so that the two differ to the eye."""
    lie = changed("What is restricted never leaves our own machines.", "Restricted data may go anywhere.")
    honest, lying = rows(told(FULL), "wall")["secrets"], rows(told(lie), "wall")["secrets"]
    assert [cell.text for cell in lying] == [
        "Restricted data may go anywhere.",
        "Restricted data may use lanes of ours (today home and rack).",
    ]
    assert honest[1] == lying[1]


def test_every_sentence_of_the_policy_stands_in_the_document() -> None:
    """No `says` of the file is left out, in any of the forms."""
    says = [s.strip(" }") for s in re.findall(r"says: ([^,}\n]+?\.)", FULL)]
    made = told(FULL)
    texts = " ".join(cell.text for s in made.sections if s.table for row in s.table.rows for cell in row)
    assert len(says) > 15
    assert [sentence for sentence in says if sentence not in texts] == []


@pytest.mark.parametrize(
    ("id", "row", "words"),
    [
        ("wall", "wall[3]", "Where the matter is merger (or might be, as the request does not state matter): only lanes of ours (today home and rack)."),
        ("routes", "hard-first", "Where the difficulty is hard or the stakes are high: tries the strongest lane that is left; where none is left, refuses the request."),
        ("routes", "fallbacks[0]", "Where the stakes are high: when a lane fails, holds the request for a person."),
        ("routes", "fallbacks[1]", "Else where the data is confidential or more sensitive: falls back to lanes of ours, cheapest first; then refuses the request."),
        ("zones", "eea", "it runs within the EEA, it stores within the EEA and a data processing agreement is in force"),
        ("workloads", "contract-review", "At least confidential; hard work; high stakes; background; at most 0.4 EUR"),
        ("workloads", "chat", "Interactive; answers are in Swedish, as JSON after a schema, of at most 4000 characters"),
        ("reviews", "reviews[0]", "Where the workload is contract-review: the answer is kept back until two people approve the same words, and never released after 48 hours; the caller is kept waiting for 10 seconds, and asks again after that; a comment is needed to reject or edit; where nobody is named who could, no lane is called."),
        ("must", "must[0]", "Never: a request where the data is confidential or more sensitive reaches a lane that does not run wholly within the EEA and whose kind is not local or private."),
        ("evidence", "gate.waiver[1]", "Waives the evidence of bench for chat."),
        ("deadlines", "interactive", "4 seconds"),
        ("deadlines", "interactive", "1 second"),
        ("deadlines", "batch", "never"),
        ("abroad", "premium", "EU-US Data Privacy Framework (DPF)"),
    ],
)  # fmt: skip
def test_each_section_says_what_its_rules_do(id: str, row: str, words: str) -> None:
    """One rule of each section, word by word."""
    assert words in [cell.text for cell in rows(told(FULL), id)[row]]


def test_the_matrix_says_in_words_what_each_class_may_do_with_each_lane() -> None:
    """From all requests of the class: with the limits and approvals that some of them meet."""
    matrix = rows(told(FULL), "matrix")
    assert [cell.text for cell in matrix["restricted"]] == ["first choice", "first choice", "never", "never", "never"]
    assert matrix["confidential"][2] == Cell("first choice", "good", "limited for some, some after approval")


def test_a_broken_property_is_called_not_proved_and_a_kept_one_proved() -> None:
    """The `must` section speaks for each property on its own."""
    must = rows(told(FULL), "must")
    assert must["must[0]"][-1] == Cell("proved", "good")
    assert (must["must[1]"][-1].text, must["must[1]"][-1].tone) == ("not proved", "bad")


def test_an_unfinished_proof_proves_nothing() -> None:
    """Where the prover gave up, no property is called proved."""
    report = Report(prover="none", requests=10**12, findings=(), unproved="too many")
    made = told(FULL, report)
    assert made.proved == Cell("not proved", "bad", "too many")
    assert {row[-1].text for row in rows(made, "must").values()} == {"not proved"}


@pytest.mark.parametrize(
    ("source", "words", "tone"),
    [
        (FULL, "no hash was kept", "warn"),
        (sealed(parse(FULL), by="Ann", on=TODAY), "as it was approved", "good"),
        (changed("Other work takes", "All work takes", sealed(parse(FULL), by="Ann", on=TODAY)), "have changed", "bad"),
    ],
    ids=["no hash", "kept", "broken"],
)
def test_the_approval_says_whether_it_still_holds(source: str, words: str, tone: str) -> None:
    """No hash, the same meaning, or another one."""
    (approved,) = rows(told(source), "approval").values()
    assert words in approved[-1].text
    assert approved[-1].tone == tone


def test_a_policy_that_nobody_approved_says_so() -> None:
    """Instead of a table."""
    assert section(told(SMALL), "approval").lead == ("Nobody has approved this policy.",)


def test_a_sentence_without_a_rule_stands_out() -> None:
    """It is listed as what it is: a promise that nothing keeps."""
    todo = changed("fallbacks:", "fallbacks:\n  - {says: Nobody waits for ever.}")
    assert rows(told(todo), "todos")["fallbacks[0]"][1] == Cell("Nothing: it has no rule.", "bad")


def test_the_json_has_every_row_by_its_columns() -> None:
    """So that a script need not count cells."""
    policy = parse(FULL)
    report = verify(policy, TODAY)
    made = json.loads(json.dumps(document_json(policy, report, document(policy, report, TODAY))))
    (matrix,) = [s for s in made["sections"] if s["id"] == "matrix"]
    assert matrix["rows"][0]["premium"] == {"text": "never", "tone": "shut", "detail": ""}
    assert (made["proved"], made["meaning"]) == (False, policy.meaning)


# the pages


class Strict(HTMLParser):
    """Reads a page, refuses what does not nest, and keeps what the tests ask for."""

    VOID = frozenset({"circle", "meta", "rect", "line"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [str(value) for key, value in attrs if key == "id"]
        if tag == "tr":
            self.cells.append([])
        if tag in ("th", "td"):
            self.cells[-1].append(str(dict(attrs).get("role")))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, *names: str) -> list[dict[str, str | None]]:
        """The attributes of every tag of these names."""
        return [attrs for tag, attrs in self.tags if tag in names]


def test_the_page_nests_and_says_where_it_is_going() -> None:
    """Well formed, in English, one h1, an h2 for each section, ids that are unique and that every link finds."""
    made = told(FULL)
    read = Strict(page(made))
    assert read.of("html") == [{"lang": "en"}]
    assert len(read.of("h1")) == 1
    assert [attrs["id"] for attrs in read.of("h2")] == [f"{s.id}-title" for s in made.sections]
    assert len(read.ids) == len(set(read.ids))
    assert [a["href"] for a in read.of("a")] == [f"#{s.id}" for s in made.sections]
    named = {attrs["aria-labelledby"] for attrs in read.of("section", "table", "div") if "aria-labelledby" in attrs}
    assert named <= set(read.ids)


def test_every_table_has_headers_with_scope_and_full_rows() -> None:
    """Columns and rows are headed, also for those who do not see the page; each row has a cell for each column."""
    read = Strict(page(told(FULL)))
    tables = [s.table for s in told(FULL).sections if s.table]
    assert len(read.of("table")) == len(tables) > 10
    assert {attrs.get("scope") for attrs in read.of("th")} == {"col", "row"}
    widths = [len(table.columns) for table in tables for _ in range(len(table.rows) + 1)]
    assert [len(cells) for cells in read.cells] == widths
    assert {cells[0] for cells in read.cells} == {"columnheader", "rowheader"}


@pytest.mark.parametrize("policy_says", ["<script>alert(1)</script>", "\"onload='x'", "</style><b>&amp;", "</svg>"])
def test_nothing_that_a_policy_says_is_markup(policy_says: str) -> None:
    """Whatever stands in a name, a sentence or an approval is shown as it is: same tags, and no script."""
    source = FULL
    for old in (
        "Fjord Legal",
        "The rest may go further.",
        "The data protection officer",
        "Contracts are read line by line.",
    ):
        source = changed(old, json.dumps(policy_says), source)
    source = changed("merger, patent", f"merger, {json.dumps(policy_says)}", source)
    evil, plain = Strict(page(told(source))), Strict(page(told(FULL)))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attrs) for _, attrs in evil.tags] == [sorted(attrs) for _, attrs in plain.tags]
    assert not evil.of("script")


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    """No script, no address but its own headings, and a policy that lets a browser load nothing."""
    source = page(told(FULL))
    read = Strict(source)
    assert not read.of("script", "link", "img", "iframe", "object")
    assert not [attrs for _, attrs in read.tags if "src" in attrs or any(key.startswith("on") for key in attrs)]
    assert "url(" not in source and "@import" not in source
    assert {
        "http-equiv": "Content-Security-Policy",
        "content": "default-src 'none'; style-src 'unsafe-inline'",
    } in read.of("meta")


def test_a_class_that_may_go_nowhere_has_no_bar() -> None:
    """The drawing says so in words, and names the lanes of the others."""
    source = changed("zones: [ours], says: Ours alone.", "zones: [], says: Nowhere.", SMALL)
    (drawing,) = Strict(page(told(source))).of("svg")
    assert "restricted data may reach no lane. public data may reach this machine: home; elsewhere: away." in str(
        drawing
    )


def test_colours_of_the_page_can_be_read() -> None:
    """Each text colour has at least 4.5 : 1 against what it stands on, in light and in dark."""
    css = page(told(SMALL)).partition("<style>")[2].partition("</style>")[0]
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", part)) for part in css.split("@media screen and (prefers")
    )
    for theme in (light, dark):
        pairs = [(k, f"{k}-on") for k in theme if f"{k}-on" in theme]
        pairs += [(k, "paper") for k in ("ink", "soft", "link", "good", "bad", "warn")] + [
            ("soft", "tint"),
            ("bad", "shut-on"),
        ]
        assert len(pairs) == 14
        assert {
            pair: round(contrast(theme[pair[0]], theme[pair[1]]), 1)
            for pair in pairs
            if contrast(theme[pair[0]], theme[pair[1]]) < 4.5
        } == {}


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminance, as the accessibility guidelines reckon it."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_page_is_the_one_that_was_looked_at() -> None:
    """The whole page of the full policy, but for its style; after a change that was looked at, write it anew."""
    made = re.sub(r"<style>.*?</style>", "<style/>", page(told(FULL)), flags=re.S)
    made = re.sub(r"laneway \d+\.\d+\.\d+", "laneway VERSION", made)
    assert made == GOLDEN.read_text("utf-8")


def test_markdown_shows_what_a_policy_says_as_text() -> None:
    """No sentence becomes a heading, a link, a cell or a tag; every section and every row is there."""
    source = changed("The rest may go further.", json.dumps("# a | [b](https://c.example) <i>*d*</i>"), FULL)
    made = markdown(told(source))
    assert r"\# a \| \[b\]\(https\://c.example\) \<i\>\*d\*\</i\>" in made
    full = told(FULL)
    assert re.findall(r"^## (.*)$", made, re.M) == [s.title for s in full.sections]
    assert len(re.findall(r"^\| ", made, re.M)) == sum(len(s.table.rows) + 2 for s in full.sections if s.table)
