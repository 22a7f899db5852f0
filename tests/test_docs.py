"""The documentation says what the code does: examples run, codes and keys are listed, links resolve."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from laneway import __version__, grammar, grammar_lanes, grammar_work, policy_cases, policy_file
from laneway.cli import main
from laneway.evidence import sets
from laneway.evidence.scorers import KINDS
from laneway.evidence.sets import parse_yaml
from laneway.policy_file import parse
from laneway.signals import LANGUAGES
from laneway.starter import SERVICES

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "laneway"
README = ROOT / "README.md"
POLICY = ROOT / "docs" / "policy.md"
EVALUATION = ROOT / "docs" / "evaluation.md"
REASONS = ROOT / "docs" / "reasons.md"
PAGES = sorted((*ROOT.glob("*.md"), *(page for part in ("docs", "policies") for page in (ROOT / part).rglob("*.md"))))


class Block(NamedTuple):
    """A fenced block: where it starts, what stands after the fence, its text."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str, pages: list[Path] = PAGES) -> list[Block]:
    """The fenced blocks of one language."""
    found = []
    for page in pages:
        text = page.read_text("utf-8")
        for match in re.finditer(r"^( *)```(\w+)?([^\n]*)\n(.*?)^\1```$", text, re.M | re.S):
            if match[2] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(str(page.relative_to(ROOT)), line, match[3].strip(), match[4]))
    return found


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_examples_compile(block: Block) -> None:
    """A Python example has no syntax error."""
    compile(block.text, str(block), "exec")


# policy examples


def sections(source: str) -> dict[str, str]:
    """A policy's text by top-level key."""
    parts = re.split(r"^(?=[a-z_]+:)", source, flags=re.M)
    return {part.partition(":")[0]: part for part in parts if part.strip()}


def complete() -> str:
    """The text of the one complete policy among the examples."""
    (block,) = [b for b in blocks("yaml", [POLICY]) if b.info == "complete"]
    return block.text


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if b.info not in ("cases", "evaluation")], ids=str)
def test_policy_examples_load(block: Block) -> None:
    """A complete example is a valid policy; a fragment is one in the place of the complete one's sections."""
    assert block.info in ("complete", "fragment"), f"{block}: say whether it is complete, a fragment or cases"
    fragment = block.info == "fragment"
    source = "".join((sections(complete()) | sections(block.text)).values()) if fragment else block.text
    assert parse(source, str(block)).lanes


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if b.info == "evaluation"], ids=str)
def test_examples_of_sets_load(block: Block) -> None:
    """An evaluation set in the documentation is one that can be read."""
    assert parse_yaml(block.text, str(block)).samples


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if b.info == "cases"], ids=str)
def test_examples_of_cases_hold(block: Block, tmp_path: Path) -> None:
    """The cases of an example hold of the complete policy."""
    (tmp_path / "laneway.yaml").write_text(complete(), "utf-8")
    (tmp_path / "cases.yaml").write_text(block.text, "utf-8")
    result = CliRunner().invoke(main, ["test", str(tmp_path / "laneway.yaml")])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        ("top-level key", policy_file._TOP),
        ("rule key", {key for keys in policy_file._RULE_KEYS.values() for key in keys}),
        ("lane key", grammar_lanes._LANE_KEYS),
        ("zone key", grammar_lanes._ZONE_KEYS),
        ("label", (*grammar_work._LABEL_KEYS, *grammar_work._FILE_KEYS)),
        ("key of `output`", grammar_work._OUTPUT_KEYS),
        ("operator", (*grammar._OPS, "not", "any", "all")),
        ("ranking word", (*policy_file.RANKINGS, *policy_file._STOPS)),
        ("check", policy_file.CHECKS),
        ("identifier", policy_file.IDENTIFIERS),
        ("provider", grammar_lanes.PROVIDERS),
        ("transfer basis", grammar_lanes.TRANSFERS),
        ("fact", grammar.Names().testable),
        ("key of a case", (*policy_cases._CASE_KEYS, *policy_cases._EXPECT_KEYS)),
        ("word of a case", (*policy_cases.ANSWERS, *policy_cases.DECISIONS, *policy_cases._STATUSES)),
    ],
)
def test_every_word_of_the_grammar_is_documented(what: str, keys: tuple[str, ...]) -> None:
    """docs/policy.md names every word that the loader knows."""
    assert sorted(set(keys) - words_of(POLICY)) == [], f"{what} without documentation"


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        ("key of a set", (*sets._HEAD, "samples", *sets._SAMPLE)),
        ("scorer", KINDS),
        ("option of a scorer", {option for kind in KINDS.values() for option in kind.options}),
        ("language", LANGUAGES),
    ],
)
def test_every_word_of_a_set_is_documented(what: str, keys: tuple[str, ...]) -> None:
    """docs/evaluation.md names every key, scorer, option and language of an evaluation set."""
    assert sorted(set(keys) - words_of(EVALUATION)) == [], f"{what} without documentation"


def words_of(page: Path) -> set[str]:
    """The words that stand between backticks in a page, outside its examples."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"[\w.-]+", code)}


# commands


class Line(NamedTuple):
    """A command line of an example, the exit code that it states, and what it is said to print."""

    place: str
    command: str
    code: int
    printed: list[str]


def console_lines(pages: list[Path]) -> Iterator[Line]:
    """The command lines of some pages, except those in blocks that say `not-run`."""
    for block in blocks("console", pages):
        if block.info != "not-run":
            for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
                first, *rest = part.splitlines()
                command, _, comment = first.partition("#")
                code = re.search(r"exit (\d)", comment)
                printed = [piece for line in rest for piece in line.split("…") if piece.strip()]
                yield Line(str(block), command.strip(), int(code[1]) if code else 0, printed)


def run_as_written(line: Line) -> None:
    """Run a command here: it exits as stated and prints what is shown."""
    program, *arguments = shlex.split(line.command)
    assert program == "laneway"
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == line.code, result.output
    said = " ".join(result.output.split())
    assert [text for text in line.printed if " ".join(text.split()) not in said] == []


@pytest.mark.parametrize("line", list(console_lines([README])), ids=lambda line: line.command)
def test_readme_commands_do_what_is_written(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of the README exits as stated and prints what is shown, in a directory made by `init`."""
    for name in (*(service.key for service in SERVICES), "LANEWAY_POLICY", "LANEWAY_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init"]).exit_code == 0
    run_as_written(line)


@pytest.mark.parametrize("page", ["replay"])
def test_a_page_s_commands_do_in_order_what_is_written(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of a page that is a path to follow exit as stated and print what is shown, one after the other."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    lines = list(console_lines([ROOT / "docs" / f"{page}.md"]))
    assert lines
    for line in lines:
        run_as_written(line)


def test_some_readme_commands_are_run() -> None:
    """The README shows more than one exit code, so that the test above cannot be empty."""
    assert len({line.code for line in console_lines([README])}) > 2


def commands(group: click.Group, above: str) -> Iterator[str]:
    """Every command's full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield f"{above} {name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")


def test_every_command_is_in_the_readme() -> None:
    """The README's table names every command."""
    text = README.read_text("utf-8")
    assert [name for name in commands(main, "laneway") if f"| `{name}` |" not in text] == []


# codes

# Which argument of a call is the code, by what is called.
_CODE_AT = {
    "Reason": 0,
    "_reason": 0,
    "RequestError": 1,
    "Stopped": 1,
    "LaneError": 0,
    "Failed": 0,
    "Finding": 0,
    "warned": 0,
    "_dated": 0,
    "_refuse": 2,
}
_SECTIONS: dict[str, tuple[str, ...]] = {
    "Reasons": ("Reason", "_reason"),
    "Errors to the client": ("RequestError", "Stopped", "_refuse"),
    "Errors of a lane": ("LaneError", "Failed"),
    "Findings": ("Finding", "warned", "_dated"),
}


def constants(node: ast.expr, scope: ast.AST) -> Iterator[str]:
    """The words that `node` may be: a constant, one of two, or what its name was given in `scope`."""
    match node:
        case ast.Constant(value=str(word)):
            yield word
        case ast.IfExp():
            yield from constants(node.body, scope)
            yield from constants(node.orelse, scope)
        case ast.Name():
            for inner in ast.walk(scope):
                if isinstance(inner, ast.Assign) and any(ast.dump(t) == _stored(node) for t in inner.targets):
                    yield from constants(inner.value, scope)


def _stored(name: ast.Name) -> str:
    return ast.dump(ast.Name(name.id, ast.Store()))


def codes_in_source(section: str) -> set[str]:
    """Every code that the source gives to the calls that a section is about."""
    found: set[str] = set()
    for path in SRC.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        # A function is a scope; a call inside is seen once more from the module, where names differ.
        functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for scope in (tree, *functions):
            for node in ast.walk(scope):
                name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
                if name in _SECTIONS[section] and isinstance(node, ast.Call):
                    at = _CODE_AT[name]
                    named = [k.value for k in node.keywords if k.arg == "code"]
                    for argument in [*node.args[at : at + 1], *named]:
                        found |= set(constants(argument, scope if scope is not tree else ast.Module([], [])))
    return found


def codes_in_page(section: str) -> list[str]:
    """The first column of a section's table."""
    text = REASONS.read_text("utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w-]+)` \|", text, re.M)


@pytest.mark.parametrize("section", _SECTIONS)
def test_every_code_is_documented_and_every_documented_code_exists(section: str) -> None:
    """docs/reasons.md and the source name the same codes."""
    documented, known = codes_in_page(section), codes_in_source(section)
    assert len(documented) == len(set(documented)), "a code is listed twice"
    assert sorted(known - set(documented)) == [], "codes without documentation"
    if section == "Errors to the client":  # A Hold and a Refuse carry their first reason's code.
        known |= {code.replace("-", "_") for code in codes_in_source("Reasons")}
    assert sorted(set(documented) - known) == [], "documented codes that are not in the source"


def test_every_end_of_a_case_is_documented() -> None:
    """The codes that a case may expect are codes of docs/reasons.md, and every one that needs no HTTP is there."""
    http = {"invalid_json", "duplicate_key", "duplicate_header", "disconnected", "lane_rejected_request", "foreign_host",
            "unknown_path", "stopping", "method_not_allowed", "body_too_long", "not_json", "internal_error", "log_unavailable",
            "body_too_slow", "slow_reader", "lane_refused", "overloaded", "invalid_reason", "identifier_found",
            "unknown_field", "not_answered", "feedback_full", "unknown_decision"}  # fmt: skip
    http |= {"already_approved", "class_not_lower", "comment_needed", "content_unavailable", "invalid_body", "lane_not_allowed",
             "no_reviewer", "nothing_to_approve", "nothing_written", "original_text", "own_request", "review_closed", "review_expired",
             "review_gone", "review_lost", "review_rejected", "review_unanswered", "reviewers_unusable", "reviews_full", "too_long",
             "unknown_action", "unknown_review", "words_changed", "wrong_role"}  # fmt: skip
    http |= {"paused", "stopped", "unknown_lever", "unknown_target"}
    known = {code.replace("-", "_") for code in policy_cases._CODES}
    assert known == set(codes_in_page("Errors to the client")) - http


def test_codes_are_found_in_the_source() -> None:
    """The search above sees constants, alternatives and names, so that it cannot pass by finding nothing."""
    assert {"wall", "wall-limit", "no-lane"} <= codes_in_source("Reasons")
    client = {"invalid_json", "held_weak", "lanes_failed", "log_unavailable"}
    assert client <= codes_in_source("Errors to the client")
    assert {"must-broken", "alias", "stale-waiver"} <= codes_in_source("Findings")
    assert {"late", "unreachable", "broken"} <= codes_in_source("Errors of a lane")


# the whole


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    """A link to another page, file or heading of this repository leads somewhere."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append(target)
    assert broken == []


def headings(page: Path) -> set[str]:
    """A page's headings as they stand in links."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_versions_agree() -> None:
    """The package, its metadata and the newest heading of the changelog name one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    newest = re.search(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert newest is not None
    assert newest[1] == project["version"] == __version__


def test_decisions_are_numbered_and_short() -> None:
    """Notes are numbered from 001 without a gap, begin with their number, and have at most 25 lines."""
    notes = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, note in enumerate(notes, start=1):
        lines = note.read_text("utf-8").splitlines()
        assert note.name.startswith(f"{number:03d}-")
        assert lines[0].startswith(f"# {number:03d} ")
        assert len(lines) <= 25
        assert all(f"**{part}.**" in "\n".join(lines) for part in ("Context", "Decision", "Consequence"))
