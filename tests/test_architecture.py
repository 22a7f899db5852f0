"""The shape of the source: one-way imports, no cycles, short tails, pure core. Run as a script for figures."""

from __future__ import annotations

import ast
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"

LAYERS = """
    laneway
    settling quantile
    clock errors regions addresses signals request answer decision
    lane condition
    policy
    facts
    record
    schema
    yaml_nodes source
    seal
    grammar_lanes
    grammar
    grammar_work grammar_shadow grammar_review grammar_keep
    policy_file
    starter
    review review.people
    wall
    admission
    decide explain
    repair repair.edits
    proof proof.stated proof.space proof.oracle proof.reach proof.finding
    proof.safety proof.liveness proof.lint
    proof.verify proof.without
    repair.candidates repair.mended
    certificate certificate.form certificate.certify
    certificate.cases certificate.kinds certificate.ways certificate.replay certificate.second
    proof.words
    classify.language contract
    classify.plain
    classify.sensitivity classify.difficulty classify
    gate
    wire wire.openai_answer wire.openai_reply wire.openai_screen wire.openai
    evidence evidence.sample evidence.ledger evidence.results
    evidence.sandbox.folder evidence.sandbox.inside evidence.sandbox
    evidence.statistics evidence.statistics.numbers
    evidence.scorers.kind
    evidence.scorers.exact evidence.scorers.numeric evidence.scorers.pattern evidence.scorers.structure
    evidence.scorers.labels evidence.scorers.quote evidence.scorers.code evidence.scorers
    evidence.sets evidence.basis
    evidence.statistics.bounds evidence.statistics.paired
    evidence.statistics.sequence evidence.statistics.agreement
    evidence.judging evidence.judging.family evidence.judging.labels evidence.judging.asking evidence.judging.swap
    evidence.judging.calibration evidence.judging.kept evidence.judging.rubric evidence.judging.pairs
    rejections
    evidence.heard evidence.standing evidence.owed
    people people.matrix people.plain
    people.document
    people.whereabouts
    people.assemble
    people.markdown people.page
    way
    diff diff.seen diff.order diff.changed diff.compare diff.telling
    evidence.measured evidence.comparison evidence.telling evidence.charts evidence.report_page
    evidence.formats evidence.formats.shape evidence.formats.own evidence.formats.asserts
    evidence.formats.openai evidence.formats.anthropic evidence.formats.promptfoo
    evidence.formats.inspect evidence.formats.gemini
    describe
    policy_cases
    replay replay.recorded replay.restated replay.again replay.money replay.kind replay.totals replay.run replay.shares replay.telling
    egress.door egress.guard egress
    providers providers.scripted.script providers.scripted.line providers.scripted.lane providers.scripted
    providers.scripted.__main__ providers.wait providers.line providers.http
    store.content store.merkle store.note store.checkpoint store.chain store.cleared store.following store.story store.reader store.rows store.listing
    store.signing store.writer store
    weekly weekly.value weekly.tally weekly.frame weekly.links weekly.part weekly.scan weekly.scanned
    weekly.money weekly.review weekly.lanes weekly.advice weekly.stale
    weekly.telling weekly.markdown weekly.charts weekly.page
    evidence.recalled receipt receipt_page export
    feedback shadowed webhook retention erasure
    levers weekly.deliver
    incident incident.form incident.box incident.tally incident.told incident.bundle incident.verify
    breaker slots traffic
    aside race run
    serve
    evidence.plan evidence.held evidence.calling evidence.tally evidence.run evidence.judges
    judge shadow
    review.acts review.endings review.item review.recalled review.sheet review.desk review.captured
    refusal
    gateway
    rehearse
    weekly.patch weekly.reading weekly.kept
    server server.activation server.status server.http server.words server.erasures server.keeping server.pulls server.reviews server.notify
    server.api
    server.console server.console.chain server.console.pages server.console.signin server.console.site
    server.console.decisions server.console.overview server.console.policies server.console.queue server.console.week
    server.console.frame
    server.app
    demo demo.model demo.requests
    demo.play
    cli.output cli.asking cli.findings
    cli.init cli.lanes cli.lever cli.reject cli.replaying cli.replay
    cli.certificate cli.test
    cli.check cli.policy cli.diff
    cli.erase cli.reviewers cli.reviews cli.export cli.incident
    cli.explain cli.review cli.serve cli.shadow
    cli.why
    cli.log cli.demo
    cli.eval.report cli.eval.compare cli.eval.judging cli.eval.prefer cli.eval.outcome cli.eval.run
    cli.eval.add cli.eval.init cli.eval.trade cli.eval
    cli
    cli.__main__
"""
"""Every module, each importing only from those that stand before it. A new module needs a place here."""

PURE = (
    "decide",
    "admission",
    "wall",
    "condition",
    "lane",
    "explain",
    "rejections",
    "weekly.review",
    "weekly.telling",
    "policy_cases",
    "classify.language",
    "contract",
    "way",
    "replay.run",
)
IMPURE = {
    "os", "time", "random", "socket", "pathlib", "asyncio", "secrets", "io", "subprocess", "uuid", "logging",
    "threading", "sqlite3", "tempfile", "shutil", "urllib", "http",
}  # fmt: skip
NOW = {"now", "utcnow", "today", "time", "monotonic", "open", "print", "input", "getenv", "urandom"}

BROAD_EXCEPT = {
    "classify": "a failed detector counts as the strictest class",
    "classify.difficulty": "a failed computation counts as hard",
    "egress.door": "a connection half made is cut, whatever ended it, and the cause is raised again",
    "evidence.results": "the worker boundary: its callers would wait for ever",
    "evidence.sandbox.inside": "whatever sandboxed code raises, also to end its process, is its result",
    "evidence.scorers": "a scorer that fails is said, and counts neither as 0 nor as 1",
    "shadow": "a request that is over must not hear of what fails behind it",
    "server.activation": "whatever goes wrong with a new policy file, the proved one stays in force",
    "schema": "jsonschema_rs raises several kinds that mean the same",
    "gateway": "whatever happens to a request goes on record, and is raised again",
    "server.api": "the HTTP boundary",
    "server.console.frame": "the HTTP boundary",
    "store.writer": "the worker boundary: its callers would wait for ever",
    "cli": "the command line's boundary",
}
OPTIONAL_EXTRAS = {"jinja2", "markupsafe", "z3", "xllamacpp", "cryptography", "numpy", "scipy", "regex", "pyarrow"}
MOST_LINES = 400
MOST_FUNCTION = 60
LONG_FUNCTION = 40


class Function(NamedTuple):
    """One function and its length in lines, decorators left out."""

    module: str
    name: str
    lines: int


@cache
def modules() -> dict[str, Path]:
    """Every module by name, without `laneway.`; the root package is `laneway`."""
    found = {}
    for path in sorted((SRC / "laneway").rglob("*.py")):
        parts = path.relative_to(SRC / "laneway").with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts) or "laneway"] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    """The module's syntax."""
    return ast.parse(modules()[module].read_text("utf-8"))


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below `node` that runs: what stands under `if TYPE_CHECKING:` does not."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.If) and ast.unparse(inner.test).endswith("TYPE_CHECKING"):
            continue
        yield inner
        yield from _running(inner)


def _named(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules of ours that one import statement names."""
    own = {"laneway" if name == "laneway" else f"laneway.{name}": name for name in modules()}
    if isinstance(node, ast.Import):
        yield from (own[alias.name] for alias in node.names if alias.name in own)
        return
    assert node.level == 0, f"{module} imports relatively, at line {node.lineno}"
    for alias in node.names:
        for name in (f"{node.module}.{alias.name}", str(node.module)):
            if name in own:
                yield own[name]
                break


def _packages(module: str) -> list[str]:
    """The packages around `module`, whose `__init__` runs when it is imported."""
    parts = module.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


@cache
def imports() -> dict[str, set[str]]:
    """Which modules each module imports by name."""
    found: dict[str, set[str]] = {}
    for module in modules():
        nodes = [n for n in _running(tree(module)) if isinstance(n, ast.Import | ast.ImportFrom)]
        found[module] = {name for node in nodes for name in _named(module, node)} - {module}
    return found


def with_packages() -> dict[str, set[str]]:
    """As `imports`, and the packages that importing runs, but for the importer's own."""
    return {
        module: (named | {p for name in named for p in _packages(name)}) - {module, *_packages(module)}
        | (named - {module})
        for module, named in imports().items()
    }


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every group of modules that import each other in a circle."""
    reach = {module: _reached(module, graph) for module in graph}
    groups = {
        tuple(sorted(other for other in reach[module] if module in reach[other]))
        for module in graph
        if module in reach[module]
    }
    return [list(group) for group in sorted(groups)]


def _reached(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += graph[module]
    return seen


def functions() -> list[Function]:
    """Every function of the source, methods and inner ones included."""
    return [
        Function(module, node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def lengths() -> dict[str, int]:
    """Lines by module."""
    return {module: len(path.read_text("utf-8").splitlines()) for module, path in modules().items()}


def public_names(module: str) -> set[str]:
    """What a module defines at its top level without an underscore; type variables are nobody's business."""
    names: set[str] = set()
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign) and not _type_variable(node.value):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def _type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func).endswith(("TypeVar", "TypeVarTuple", "ParamSpec"))


def exported(module: str) -> set[str]:
    """The names in the module's `__all__`."""
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = ast.literal_eval(node.value)
            assert len(listed) == len(set(listed)), f"{module} lists a name twice"
            return set(listed)
    return set()


def imported(module: str) -> set[str]:
    """The names that a module imports from elsewhere, which it may pass on."""
    nodes = [n for n in tree(module).body if isinstance(n, ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def _excepts(module: str) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds):
                yield node


def test_every_module_has_a_place_in_the_layers() -> None:
    """Every module stands once in the list of layers, and nothing else stands there."""
    listed = LAYERS.split()
    assert sorted(listed) == sorted(modules())


def test_imports_point_one_way() -> None:
    """A module imports only from modules that stand before it in the list of layers."""
    place = {module: i for i, module in enumerate(LAYERS.split())}
    wrong = [
        f"{module} imports {name}"
        for module, named in imports().items()
        for name in named
        if module in place and name in place and place[name] >= place[module]
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle() -> None:
    """No modules import each other in a circle by name."""
    assert cycles(imports()) == []


def test_no_circle_runs_through_a_package() -> None:
    """No circle arises where importing a module runs its package first, so each module imports on its own."""
    assert cycles(with_packages()) == []


def test_no_function_is_longer_than_a_screen() -> None:
    """No function is longer than 60 lines."""
    assert [f for f in functions() if f.lines > MOST_FUNCTION] == []


def test_few_functions_are_long() -> None:
    """At most two in a hundred functions are longer than 40 lines."""
    every = functions()
    long = [f for f in every if f.lines > LONG_FUNCTION]
    assert len(long) <= 0.02 * len(every), long


def test_no_file_is_too_long() -> None:
    """No file is longer than 400 lines."""
    assert {module: lines for module, lines in lengths().items() if lines > MOST_LINES} == {}


def test_imports_stand_at_the_top() -> None:
    """No import stands inside a function, except of an optional extra."""
    hidden = [
        f"{module}.{function.name}: {ast.unparse(node)}"
        for module in modules()
        for function in ast.walk(tree(module))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and not {str(getattr(node, "module", None) or node.names[0].name).partition(".")[0]} <= OPTIONAL_EXTRAS
    ]
    assert not hidden


def test_a_broad_except_stands_only_at_a_boundary() -> None:
    """`except Exception` occurs only in the modules that are allowed it, each for a stated reason."""
    found = {module: [node.lineno for node in _excepts(module)] for module in modules()}
    assert {module: at for module, at in found.items() if at and module not in BROAD_EXCEPT} == {}


def test_the_core_reads_no_clock_and_touches_nothing() -> None:
    """decide, conditions, lanes, explanations, reports and cases do no I/O, read no clock and take no chance."""
    wrong = [found for module in PURE for found in _impurities(module)]
    assert not wrong


def _impurities(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names: Iterable[str] = (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = (str(node.module),)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in NOW:
                yield f"{module}:{node.lineno} calls {called}"
            continue
        else:
            continue
        yield from (f"{module}:{node.lineno} imports {n}" for n in names if n.partition(".")[0] in IMPURE)


def test_what_the_core_imports_is_pure_too() -> None:
    """Whatever decide, conditions, lanes, explanations, reports and cases import, directly or not, is as pure."""
    behind = {name for module in PURE for name in _reached(module, imports())}
    assert not [found for module in sorted(behind) for found in _impurities(module)]


def test_all_names_exist() -> None:
    """Every name in an `__all__` is defined in that module, or passed on by it."""
    wrong = {module: exported(module) - public_names(module) - imported(module) for module in modules()}
    assert {m: sorted(names) for m, names in wrong.items() if names - {"__version__"}} == {}


def test_all_names_everything_public() -> None:
    """Every public name of a module stands in its `__all__`; everything else has an underscore."""
    wrong = {module: public_names(module) - exported(module) for module in modules()}
    assert {m: sorted(names) for m, names in wrong.items() if names} == {}


def test_all_sql_is_in_the_named_file() -> None:
    """SQL comes from `queries.sql` by name: no statement is built from parts, and Python holds only plain pragmas."""
    wrong = [
        f"{module}:{node.lineno} {ast.unparse(node.args[0])}"
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
        if node.func.attr in ("execute", "executemany", "executescript") and not _named_sql(node.args[0])
    ]
    assert not wrong


def _named_sql(node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript):
        return ast.unparse(node.value) in ("SQL", "SCHEMA")
    if isinstance(node, ast.Constant):
        return str(node.value).split()[0] in ("PRAGMA", "BEGIN", "COMMIT", "ROLLBACK")
    return False


def test_no_string_of_python_looks_like_built_sql() -> None:
    """No f-string and no sum of strings begins like an SQL statement."""
    verbs = ("select ", "insert ", "update ", "delete ", "drop ", "create table", "alter ")
    wrong = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.JoinedStr | ast.BinOp)
        and ast.unparse(node).lstrip("f(").strip("'\"").lower().startswith(verbs)
    ]
    assert not wrong


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("example.com", 443), ("10.0.0.1", 80)])
def test_no_test_reaches_beyond_this_machine(address: tuple[str, int]) -> None:
    """A connection to anything but loopback fails at once, in every test of the run."""
    with socket.socket() as outgoing:
        for connect in (outgoing.connect, outgoing.connect_ex):
            with pytest.raises(AssertionError, match="a test may not connect"):
                connect(address)


def test_no_test_sees_a_key_from_outside() -> None:
    """No provider's key and no setting of Laneway's own is in the environment of a test."""
    assert [name for name in os.environ if name.endswith("_API_KEY") or name.startswith("LANEWAY_")] == []


def test_every_test_states_a_behaviour() -> None:
    """Every test function has a docstring of one sentence."""
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    tests = [
        (file.name, node.name, ast.get_docstring(node) or "")
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert [(file, name) for file, name, says in tests if not says.endswith(".") or "\n\n" in says] == []


def figures() -> dict[str, object]:
    """What to watch: tails and cycles, as medians do not tell good code from bad."""
    every, long = functions(), lengths()
    largest = max(long, key=lambda module: long[module])
    longest = max(every, key=lambda f: f.lines)
    return {
        "files": len(long),
        "lines": sum(long.values()),
        "largest file": f"{largest} ({long[largest]})",
        "functions": len(every),
        "longest function": f"{longest.module}.{longest.name} ({longest.lines})",
        "functions over 60 lines": sum(f.lines > MOST_FUNCTION for f in every),
        "functions over 40 lines": sum(f.lines > LONG_FUNCTION for f in every),
        "cycles by name": len(cycles(imports())),
        "cycles through packages": len(cycles(with_packages())),
        "broad excepts": sum(len(list(_excepts(module))) for module in modules()),
    }


if __name__ == "__main__":
    for figure, value in figures().items():
        sys.stdout.write(f"{figure:24} {value}\n")
