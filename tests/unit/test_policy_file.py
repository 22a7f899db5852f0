"""The policy file: the whole grammar loads, and everything wrong gives its place and its remedy."""
# policies and tables keep one rule and one case a line

from __future__ import annotations

import datetime
import hashlib
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.policies import CLASSES, FULL, SMALL, changed, full

from laneway.condition import All, Any, Not
from laneway.condition import Test as Compare
from laneway.errors import PolicyError, Problem
from laneway.lane import Limits, Price
from laneway.policy import Bar, Deadline, Output
from laneway.policy_file import load, parse
from laneway.regions import EEA


def problems(source: str) -> list[Problem]:
    """Everything wrong with `source`, which must be something."""
    with pytest.raises(PolicyError) as caught:
        parse(source, "p.yaml")
    return list(caught.value.problems)


def place(source: str, marker: str) -> tuple[int, int]:
    """Line and column of the one `marker` in `source`, from 1."""
    assert source.count(marker) == 1
    before = source[: source.index(marker)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


# The whole grammar


def test_the_full_grammar_loads() -> None:
    """A file with every key of the grammar loads, and each section arrives in the policy."""
    policy = full()
    assert policy.name == "Fjord Legal"
    assert policy.classes == CLASSES
    assert list(policy.lanes) == ["home", "rack", "shared", "premium", "bench"]
    assert policy.strength == ("home", "rack", "shared", "bench", "premium")
    assert list(policy.zones) == ["ours", "eea", "world", "named"]
    assert [grant.id for grant in policy.grants] == ["secrets", "wall[1]", "wall[2]"]
    assert [limit.id for limit in policy.limits] == ["wall[3]"]
    assert [route.id for route in policy.routes] == ["hard-first", "routes[1]", "routes[2]"]
    assert [(rule.words, rule.stop) for rule in policy.fallbacks] == [
        ((), "hold"), (("ours",), "refuse"), (("next",), "refuse"),
    ]  # fmt: skip
    assert [review.release for review in policy.reviews] == ["after-approval", "now"]
    assert policy.networks == ("10.20.0.0/16",)
    assert policy.approval is not None
    assert (policy.approval.by, policy.fresh_days) == ("The data protection officer", 60)


def test_the_policy_is_known_by_the_hash_of_its_text() -> None:
    """The hash is the SHA-256 of the very text, and the text is kept."""
    policy = full()
    assert policy.text == FULL
    assert policy.hash == hashlib.sha256(FULL.encode()).hexdigest()
    assert parse(FULL + "\n").hash != policy.hash


def test_a_lane_keeps_every_promise() -> None:
    """A lane's facts arrive as written, regions as sets of countries, prices with the unstated part at the higher rate."""
    lanes = full().lanes
    shared = lanes["shared"]
    assert (shared.runs, shared.stores, shared.owner) == (frozenset({"DE"}), frozenset({"DE", "FR"}), frozenset({"FR"}))
    assert (shared.dpa, shared.retention, shared.verified) == (
        datetime.date(2026, 1, 15),
        0,
        datetime.date(2026, 11, 1),
    )
    assert shared.limits == Limits(rpm=600, concurrency=32, context=128000, output=8000)
    assert shared.price == Price(1.80, 5.40, 0.18)
    assert lanes["premium"].price == Price(3, 15, 15)
    assert lanes["bench"].price == Price(1, 1, 1)
    assert lanes["home"].price == Price(0, 0, 0)
    assert lanes["home"].supports == frozenset({"tools", "json"})
    assert lanes["home"].gate_after
    assert not shared.gate_after


def test_norway_is_a_country() -> None:
    """`runs: NO` is Norway and not a falsehood."""
    assert full().lanes["rack"].runs == frozenset({"NO"})


def test_what_a_lane_does_not_say_is_unknown() -> None:
    """Regions, contract, price and features that are not stated are unknown, but a local lane is on this machine."""
    lanes = parse(SMALL).lanes
    away = lanes["away"]
    assert (away.runs, away.stores, away.owner, away.dpa, away.retention, away.verified) == (None,) * 6
    assert lanes["home"].runs == frozenset({"device"})
    assert away.supports is None


def test_conditions_become_trees() -> None:
    """Facts side by side are joined by and; `any`, `all` and `not` nest; an ordered test becomes its set."""
    policy = full()
    hard, stakes = Compare("difficulty", "in", frozenset({"hard"})), Compare("stakes", "in", frozenset({"high"}))
    assert policy.routes[0].when == Any((hard, stakes))
    pages, chat = Compare("pages", "over", frozenset({100.0})), Compare("workload", "in", frozenset({"chat"}))
    assert policy.routes[1].when == All((pages, Not(chat)))
    assert policy.fallbacks[1].when == Compare("sensitivity", "in", frozenset({"confidential", "restricted"}))
    assert policy.must[0].lane == (("runs", EEA, True), ("kind", frozenset({"local", "private"}), True))
    assert policy.must[1].cost_over == 2


@pytest.mark.parametrize(
    ("test", "classes"),
    [
        ("{at_least: confidential}", {"confidential", "restricted"}),
        ("{over: confidential}", {"restricted"}),
        ("{at_most: internal}", {"public", "internal"}),
        ("{under: internal}", {"public"}),
        ("{over: restricted}", set()),
        ("internal", {"internal"}),
        ("[internal, public]", {"internal", "public"}),
    ],
)
def test_an_ordered_test_is_the_set_of_its_classes(test: str, classes: set[str]) -> None:
    """at_least, over, at_most and under follow the order in which the classes are declared."""
    source = changed("when: {stakes: high}, then", f"when: {{sensitivity: {test}}}, then")
    assert parse(source).fallbacks[0].when == Compare("sensitivity", "in", frozenset(classes))


def test_the_gate_keeps_bar_checks_and_waivers() -> None:
    """Checks, bar, waivers with their dates and workloads, and what a weak answer leads to, arrive as written."""
    gate = full().gate
    assert gate.checks == ("empty", "cut-off", "invalid-json", "tool-call", "refusal", "contract", "judge")
    assert gate.judge == ("safest", "strongest")
    assert gate.bar == Bar(0.85, 0.95)
    assert [w.id for w in gate.waivers] == ["gate.waiver[0]", "gate.waiver[1]"]
    assert gate.waivers[0].workloads is None
    assert gate.waivers[1].workloads == frozenset({"chat"})
    assert (gate.weak, gate.weak_stop) == (("strongest",), "hold")


def test_deadlines_defaults_and_detection_arrive() -> None:
    """Deadlines are seconds, workload floors stay unset where unsaid, and detection names a class for the rest."""
    policy = full()
    assert policy.deadlines == {
        "interactive": Deadline(4, 60, 1), "background": Deadline(None, 600), "batch": Deadline(None, 86400),
    }  # fmt: skip
    assert policy.unlabelled.ceiling == 5
    assert policy.workloads["chat"].stakes is None
    assert policy.workloads["contract-review"].ceiling == 0.40
    assert policy.detect.identifiers == {"card": "confidential", "*": "restricted"}


def test_what_is_not_said_of_detection_is_strictest() -> None:
    """Without `detect` every identifier and every unreadable part is of the strictest class."""
    detect = parse(SMALL).detect
    assert (detect.identifiers, detect.unreadable) == ({"*": "restricted"}, "restricted")


def test_a_rule_is_cited_by_its_line() -> None:
    """Each rule knows the line on which it stands."""
    assert full().grants[0].line == place(FULL, "id: secrets")[0]


# What is wrong, where, and what to do

BAD = [
    ("team: press}, release: now}", "team: press}, release: now, eyes: 2}", "eyes: 2}\n\n", "`eyes` says how an answer waits for a person, and `release: now` lets it go"),
    ("within: 2d", "within: 30s", "30s, eyes", "`within` is from 60s to 90d"),
    ("wait: 10s", "wait: 2h", "2h, within", "no caller waits longer than 60m"),
    ("eyes: 2", "eyes: 3", "3, comment", "`eyes` is how many people must approve: 1 or 2"),
    ("comment: [reject, edit]", "comment: [rejct]", "rejct]", "did you mean `reject`"),
    # the top level
    ("\nlanes:\n", "\nlanez:\n", "lanez", "unknown key `lanez` in a policy; did you mean `lanes`?"),
    ("laneway: 1", "laneway: 2", "2\nname", "write `laneway: 1`"),
    ("currency: EUR", "currency: euro", "euro\n", "expected an ISO 4217 currency such as EUR, not `euro`"),
    ("networks: [10.20.0.0/16]", "networks: [10.20.0.7/16]", "10.20.0.7/16]", "expected a network such as 10.20.0.0/16"),
    ("on: 2026-11-20", "on: 2026-11-31", "2026-11-31", "expected a date such as 2026-11-24, not `2026-11-31`"),
    ("review_every: 60d", "review_every: 60", "60}", "expected a duration such as 4s, 10m, 24h or 90d, not `60`"),
    ("review_every: 60d", "review_every: 36h", "36h", "expected whole days such as 90d"),
    # duplicates, at any depth
    ("currency: EUR", "currency: EUR\ncurrency: USD", "currency: USD", "duplicate key `currency` in a policy"),
    ("    runs: NO\n", "    runs: NO\n    runs: US\n", "runs: US\n    stores: NO", "duplicate key `runs` in lane `rack`"),
    ("price: {input: 0.10, output: 0.20}", "price: {input: 0.10, input: 9}", "input: 9", "duplicate key `input` in price"),
    ("{when: {matter: merger}", "{when: {matter: merger, matter: none}", "matter: none}", "duplicate key `matter` in this condition"),
    ("  chat: {latency: interactive", "  chat: {}\n  chat: {latency: interactive", "chat: {latency", "duplicate key `chat` in `workloads`"),
    ("{score: 0.85,", "{score: 0.85, score: 0.1,", "score: 0.1,", "duplicate key `score` in `evidence`"),
    # unknown keys below the top
    ("    retention: 0d\n", "    retenton: 0d\n", "retenton", "unknown key `retenton` in lane `shared`; did you mean `retention`?"),
    ("{sensitivity: confidential, zones: [ours, eea]", "{sensitivty: confidential, zones: [ours, eea]", "sensitivty", "did you mean `sensitivity`?"),
    ("weak: [strongest, hold]", "week: [strongest, hold]", "week:", "unknown key `week` in `gate`; did you mean `weak`?"),
    ("{stakes: high}, then", "{stake: high}, then", "stake:", "unknown key `stake` in this condition; did you mean `stakes`?"),
    # wrong words
    ("kind: managed-open", "kind: managed", "managed\n", "unknown kind `managed`; did you mean `managed-open`?"),
    ("transfer: DPF", "transfer: PDF", "PDF", "unknown transfer basis `PDF`; did you mean `DPF`?"),
    ("try: cheapest}", "try: cheepest}", "cheepest", "unknown lane, zone or ranking word `cheepest`; did you mean `cheapest`?"),
    ("then: [next, refuse]", "then: [refuse, next]", "[refuse, next]", "nothing can follow hold, refuse or marked"),
    ("then: [hold]", "then: []", "[]", "expected at least one word"),
    ("[empty, cut-off, invalid-json", "[empty, cutoff, invalid-json", "cutoff", "unknown check `cutoff`; did you mean `cut-off`?"),
    ("runs: DE", "runs: Germany", "Germany", "unknown region `Germany`: write an ISO country such as SE"),
    ("runs: EEA, stores", "runs: EAA, stores", "EAA", "unknown region `EAA`: write an ISO country such as SE; did you mean `EEA`?"),
    ("zones: [ours, eea, world], says", "zones: [ours, eea, wrld], says", "wrld", "unknown zone `wrld`; did you mean `world`?"),
    ("{sensitivity: confidential, zones: [ours, eea]", "{sensitivity: secret, zones: [ours, eea]", "secret, zones", "unknown class `secret`"),
    ("lanes: [bench], until", "lanes: [bnch], until", "bnch", "unknown lane `bnch`; did you mean `bench`?"),
    ("until: 2026-12-31", "until: soon", "soon", "expected a date such as 2026-11-24, not `soon`"),
    ("workloads: [chat]}", "workloads: [chatt]}", "chatt]", "unknown workload `chatt`; did you mean `chat`?"),
    ("sensitivity: [public, internal, confidential, restricted]", "sensitivity: [public, public]", "[public, public]", "lists each class once"),
    # numbers and what looks like numbers
    ("ceiling: 5}", "ceiling: 1_000}", "1_000", "expected a plain number such as 12 or 0.40, not `1_000`"),
    ("ceiling: 5}", "ceiling: 12:30}", "12:30", "expected a plain number"),
    ("score: 0.85", "score: 85%", "85%", "expected a plain number such as 12 or 0.40, not `85%`"),
    ("score: 0.85", "score: 85", "{score: 85", "`score` is in 0..1"),
    ("rpm: 600", "rpm: 6.5", "6.5", "expected a whole number, not `6.5`"),
    ("first_byte: 4s", "first_byte: 4", "4, hedge", "expected a duration"),
    ("first_byte: 4s", "first_byte: 0s", "0s, hedge", "no lane can answer within `0s`; leave it out for no deadline"),
    ("hedge: 1s", "hedge: 4s", "4s, total", "a `hedge` after 4 s comes too late: the lane before it is given up after 4 s"),
    ("background: {total: 10m}", "background: {total: 10m, hedge: 11m}", "11m", "given up after 600 s; make it shorter"),
    ("hedge: 1s", "hedge: 0s", "0s, total", "no lane can answer within `0s`"),
    ("total: 60s", "total: 0.0m", "0.0m", "no lane can answer within `0.0m`"),
    ("price: 0\n", "price: free\n", "free", "expected a plain number"),
    ("price: 0\n", "price: {}\n", "{}", "a price needs at least one of input, output, cached_input"),
    # credentials
    ("key: env:SHARED_KEY", "key: sk-live-0123456789abcdef", "sk-live", "a key is never written here; use `env:NAME` or `file:/path`"),
    ("https://inference.example.eu/v1", "https://me:hunter2@inference.example.eu/v1", "https://me", "a url must not hold a credential; use `key: env:NAME`"),
    ("https://inference.example.eu/v1", "https://inference.example.eu/v1?key=hunter2", "https://inference", "expected a url such as"),
    ("https://inference.example.eu/v1", "ftp://inference.example.eu", "ftp://", "expected a url such as"),
    ("https://inference.example.eu/v1", "https://inference.example.eu:99999/v1", "https://inference", "expected a url such as"),
    # promises that are not so
    ("http://127.0.0.1:8081/v1", "http://192.168.1.9:8081/v1", "http://192", "lane `home` is `local`, so its url must be on loopback"),
    ("http://127.0.0.1:8081/v1", "http://localhost.example.com/v1", "http://localhost.e", "must be on loopback"),
    ("model: qwen3-8b-q4", "model: gpt-oss:120b-cloud", "gpt-oss", "is answered in the maker's cloud; name a model that runs on this machine"),
    ("model: qwen3-8b-q4", "model: kimi-k2:cloud", "kimi", "is answered in the maker's cloud"),
    ("    address: private-allowed\n", "", "http://127.0.0.1:9999/v1", "is on this machine or a private network; for a test bench or a corporate proxy say `address: private-allowed`"),
    ("https://api.example.com/v1", "http://localhost:1/v1", "http://localhost", "say `address: private-allowed`"),
    ("https://api.example.com/v1", "https://10.1.2.3/v1", "https://10.1.2.3", "say `address: private-allowed`"),
    ("https://api.example.com/v1", "https://169.254.169.254/v1", "https://169", "say `address: private-allowed`"),
    ("https://api.example.com/v1", "http://api.example.com/v1", "http://api", "its url must be https, as prompts and keys travel there"),
    ("https://api.example.com/v1", "HTTP://api.example.com/v1", "HTTP://api", "its url must be https, as prompts and keys travel there"),
    ("http://proxy.example.com:3128", "http://192.0.2.7:3128", "home:\n    kind", "lane `premium` has a proxy in none of your `networks`; add its network"),
    ("address: private-allowed", "address: private", "private\n    price", "unknown address `private`; did you mean `private-allowed`?"),
    # what must agree across the file
    ("strength: [home, rack, shared, bench, premium]", "strength: [home, rack, shared]", "[home, rack, shared]", "lists every lane once, weakest to strongest; missing: premium, bench"),
    ("bench, premium]\n", "bench, premium, home]\n", "[home, rack, shared, bench, premium, home]", "`strength` lists every lane once"),
    ("  named: {lanes", "  home: {lanes", "ours: {kind", "`home` names both a lane and a zone; rename one"),
    ("named: {lanes: [shared, premium], owner: [US, FR], retention: 30d}", "named: {}", "{}", "zone `named` states nothing, so it would hold every lane"),
    # facts and conditions
    ("pages: {from: 0, to: 5000}", "pages: {from: 0}", "{from: 0}", "fact `pages` needs either `values: [...]`, or `from` and `to`"),
    ("pages: {from: 0, to: 5000}", "pages: {values: [a], from: 0, to: 1}", "{values: [a]", "fact `pages` needs either"),
    ("pages: {from: 0, to: 5000}", "pages: {}", "{}", "fact `pages` needs either"),
    ("{matter: merger}", "{matter: merge}", "merge}", "unknown matter `merge`; did you mean `merger`?"),
    ("{pages: {over: 100}}", "{pages: many}", "many", "expected a plain number"),
    ("{pages: {over: 100}}", "{pages: {over: 100, under: 200}}", "{over: 100,", "the test of `pages` takes one of"),
    ("{matter: merger}", "{matter: {at_least: merger}}", "merger}}", "`matter` has no order; only sensitivity and numbers take `at_least`"),
    ("{any: [{difficulty: hard}, {stakes: high}]}", "{any: []}", "[]", "`any` needs at least one condition"),
    ("{team: press}", "{}", "{}", "an empty condition; leave `when` out where the rule always applies"),
    ("{when: {matter: merger}, zones", "{when: {matter: merger}, sensitivity: restricted, zones", "sensitivity: restricted, zones", "put the class into `when`"),
    ("{cost: {over: 2}}", "{cost: {under: 2}}", "under: 2", "unknown key `under` in `cost`"),
    # identifiers
    ("{card: confidential,", "{creditcard: confidential,", "creditcard", "unknown key `creditcard` in `identifiers`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "marker", "says"), BAD, ids=[f"{i}-{row[1].strip()[:40]}" for i, row in enumerate(BAD)]
)
def test_what_is_wrong_gives_its_place_and_its_remedy(old: str, new: str, marker: str, says: str) -> None:
    """Each kind of error names file, line and column of what is wrong, and what to write instead."""
    source = changed(old, new)
    line, column = place(source, marker)
    found = [problem for problem in problems(source) if says in problem.message]
    assert found, [str(problem) for problem in problems(source)]
    assert str(found[0]).startswith(f"p.yaml:{line}:{column}: ")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  named: {lanes", "  cheapest: {lanes", "`cheapest` cannot be a name in `zones`"),
        ("  named: {lanes", "  hold: {lanes", "`hold` cannot be a name in `zones`"),
        ("  chat: {lat", "  auto: {lat", "`auto` cannot be a name in `workloads`"),
        ("  chat: {lat", "  a chat: {lat", "use letters, digits, - and _"),
        ("  chat: {lat", "  lane/x: {lat", "use letters, digits, - and _"),
    ],
)
def test_a_name_is_no_word_of_the_grammar(old: str, new: str, says: str) -> None:
    """A name that the grammar or a client's request would read as something else is refused on its line."""
    source = changed(old, new)
    found = [problem for problem in problems(source) if says in problem.message]
    assert [problem.line for problem in found] == [place(source, new.strip())[0]]


@pytest.mark.parametrize("missing", ["laneway", "name", "currency", "sensitivity", "unlabelled", "lanes", "strength"])
def test_a_missing_section_is_named(missing: str) -> None:
    """A policy without one of its necessary keys says which."""
    keys = parse_keys(FULL)
    source = "".join(text for key, text in keys.items() if key != missing)
    assert any(f"a policy needs `{missing}`" in problem.message for problem in problems(source))


def parse_keys(source: str) -> dict[str, str]:
    """`source` cut into its top-level sections."""
    sections: dict[str, str] = {}
    key = ""
    for line in source.splitlines(keepends=True):
        if line[0] in string.ascii_lowercase:
            key = line.partition(":")[0]
        if key:
            sections[key] = sections.get(key, "") + line
    return sections


@pytest.mark.parametrize("key", ["kind", "provider", "url", "model"])
def test_a_lane_says_what_it_lacks(key: str) -> None:
    """A lane without kind, provider, url or model names the lane and the key."""
    lines = FULL.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith(f"    {key}:"))
    assert "lane `home` needs" in problems("".join(lines[:first] + lines[first + 1 :]))[0].message


def test_every_problem_is_shown_at_once_in_order() -> None:
    """Several mistakes give several problems, in the order of the file."""
    source = changed(
        "currency: EUR", "currency: euro", changed("transfer: DPF", "transfer: PDF", changed("rpm: 600", "rpm: x"))
    )
    found = problems(source)
    assert len(found) == 3
    assert [p.line for p in found] == sorted(p.line for p in found)


@pytest.mark.parametrize(
    "source",
    [
        changed(
            "{sensitivity: confidential, zones: [ours, eea]", "{sensitivity: confidential, zoness: [ours], zones: [eea]"
        ),
        changed("{when: {matter: merger}, zones", "{when: {matter: merger}, says: a, zones"),
        changed("  chat: {latency: interactive", "  chat: {}\n  chat: {latency: interactive"),
    ],
    ids=["unknown key in a wall row", "duplicate key in a wall limit", "duplicate workload"],
)
def test_a_problem_is_told_once(source: str) -> None:
    """One mistake gives one problem, also in the sections that are read in two passes."""
    assert len(problems(source)) == 1


SECRETS = [
    ("key: env:SHARED_KEY", "key: sk-live-hunter2"),
    ("key: env:SHARED_KEY", "key: env:sk-live-hunter2"),
    ("key: env:SHARED_KEY", "key: Bearer hunter2"),
    ("key: env:SHARED_KEY", "key: [hunter2]"),
    ("https://inference.example.eu/v1", "https://me:hunter2@inference.example.eu/v1"),
    ("https://inference.example.eu/v1", "https://hunter2@inference.example.eu/v1"),
    ("https://inference.example.eu/v1", "https://inference.example.eu/v1?api_key=hunter2"),
    ("https://inference.example.eu/v1", "https://inference.example.eu/v1#hunter2"),
    ("https://inference.example.eu/v1", "https://me:hunter2@inference.example.eu:port/v1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), SECRETS)
def test_a_credential_is_refused_and_not_repeated(old: str, new: str) -> None:
    """A key or a password in the file is refused, and no message repeats it."""
    told = "\n".join(str(problem) for problem in problems(changed(old, new)))
    assert "hunter2" not in told
    assert "expected a url" in told or "credential" in told or "never written here" in told or "single value" in told


def test_an_over_long_value_is_shortened_in_a_message() -> None:
    """A message shows at most forty characters of a value, and none that moves a terminal."""
    source = changed("transfer: DPF", f'transfer: "\\e[31m{"x" * 5000}"')
    (problem,) = problems(source)
    assert "\x1b" not in str(problem)
    assert len(problem.message) < 150


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1",
        "http://127.8.9.1/v1",
        "http://localhost/v1",
        "http://LOCALHOST/v1",
        '"http://[::1]:1/v1"',
        "unix:/run/m.sock",
    ],
)
def test_a_local_lane_may_use_loopback_or_a_socket(url: str) -> None:
    """Loopback addresses of both families, localhost and a Unix socket are this machine."""
    parse(changed("http://127.0.0.1:8081/v1", url))


@pytest.mark.parametrize(
    "url",
    ["http://127.evil.example/v1", "http://127.0.0.1.evil.example/v1", "http://127.0.0.1@evil.example/v1", "http://0.0.0.0/v1",
     "http://10.0.0.1/v1", "https://api.example.com/127.0.0.1", "http://localhost.evil.example/v1"],
)  # fmt: skip
def test_a_local_lane_may_not_be_elsewhere(url: str) -> None:
    """A name that only looks like loopback is not this machine, so a `local` lane there is refused."""
    problems(changed("http://127.0.0.1:8081/v1", url))


@pytest.mark.parametrize("host", ["8.8.8.8", "10.21.0.7", "[2001:db8::1]", "192.168.1.1"])
def test_a_private_lane_is_inside_the_declared_networks(host: str) -> None:
    """A `private` lane at an address outside every network that the policy declares is not ours, and refused."""
    problems(changed("http://10.20.0.7:8000/v1", f'"http://{host}:8000/v1"'))


def test_a_private_lane_needs_a_declared_network() -> None:
    """Without declared networks nothing says that a `private` lane on the internet is ours."""
    source = changed("http://10.20.0.7:8000/v1", "https://8.8.8.8/v1", changed("networks: [10.20.0.0/16]\n", ""))
    problems(source)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.0.0.1", "127.1", "localhost.", "LOCALHOST", "[::ffff:127.0.0.1]", "0"]
)
def test_a_lane_of_others_is_not_this_machine_in_disguise(host: str) -> None:
    """Every spelling of a loopback address is loopback, so an external lane there must say that it is a test bench."""
    source = changed("https://api.example.com/v1", f'"https://{host}/v1"')
    assert any("private-allowed" in problem.message for problem in problems(source))


@pytest.mark.parametrize("name", ["any", "all", "not", "sensitivity", "team", "region", "tokens", "workload"])
def test_a_fact_may_not_take_the_name_of_another_thing(name: str) -> None:
    """A declared fact named as a built-in fact or a word of conditions would never be read, so it is refused."""
    source = changed("facts:\n", f"facts:\n  {name}: {{values: [x, y]}}\n")
    assert any(f"`{name}`" in problem.message for problem in problems(source))


def test_a_fact_range_is_not_upside_down() -> None:
    """A numeric fact whose range holds no number is refused."""
    problems(changed("pages: {from: 0, to: 5000}", "pages: {from: 5000, to: 0}"))


def test_a_must_that_forbids_everything_is_refused() -> None:
    """An empty `never` is an empty condition, and not a property."""
    problems(changed("never: {cost: {over: 2}}", "never: {}"))


def test_a_must_that_names_an_unknown_lane_is_refused() -> None:
    """A property about a lane that does not exist proves nothing, so its name must be known."""
    problems(changed("lane: {runs: {not: EEA}, kind", "lane: {name: premuim, kind"))


def test_a_stated_period_of_no_days_is_not_ninety() -> None:
    """`review_every: 0d` is either refused or kept; it never silently becomes the default of 90 days."""
    source = changed("review_every: 60d", "review_every: 0d")
    try:
        approval = parse(source).approval
    except PolicyError:
        return
    assert approval is not None
    assert approval.review_every == 0


def test_a_region_rule_knows_the_sets_of_countries() -> None:
    """A rule that tests `region: EEA` is either read as the countries of the EEA or refused, never as the word `EEA`."""
    try:
        policy = parse(changed("{team: press}", "{region: EEA}"))
    except PolicyError:
        return
    assert policy.reviews[1].when == Compare("region", "in", frozenset(EEA))


# Files


def test_a_file_is_loaded_by_path(tmp_path: Path) -> None:
    """`load` reads a file and names it in the policy."""
    path = tmp_path / "p.yaml"
    path.write_text(FULL, "utf-8")
    assert load(path).file == str(path)


def test_a_missing_file_says_how_to_begin(tmp_path: Path) -> None:
    """A path without a file is a PolicyError that names the path and `laneway init`."""
    with pytest.raises(PolicyError, match=r"none\.yaml: cannot be read: .*`laneway init DIR` writes a starter"):
        load(tmp_path / "none.yaml")


def test_a_directory_is_no_policy(tmp_path: Path) -> None:
    """A directory is a PolicyError like every other file that cannot be read."""
    with pytest.raises(PolicyError, match="cannot be read"):
        load(tmp_path)


def test_a_file_that_is_not_utf8_gives_the_byte(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are refused with their position, never read in another encoding."""
    path = tmp_path / "p.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(PolicyError, match="is not UTF-8 at byte 9"):
        load(path)


# Whatever the text


def checked(source: str) -> None:
    """Parse `source`: it works, or every problem has a place and a sentence."""
    try:
        parse(source, "p.yaml")
    except PolicyError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert problem.line >= 1 or "empty" in problem.message, str(problem)


@settings(max_examples=200)
@given(st.text(max_size=200) | st.text(alphabet="laneswy1: \n-[]{}'\"#&*!|>,?%", max_size=200))
def test_any_text_gives_a_policy_or_a_policy_error(source: str) -> None:
    """Whatever the text, `parse` gives a policy or raises PolicyError."""
    try:
        parse(source)
    except PolicyError as error:
        assert error.problems


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200) | st.binary(max_size=6).map(lambda tail: FULL.encode()[:700] + tail))
def test_any_bytes_give_a_policy_or_a_policy_error(raw: bytes, tmp_path: Path) -> None:
    """Whatever the bytes of the file, `load` gives a policy or raises PolicyError."""
    path = tmp_path / "p.yaml"
    path.write_bytes(raw)
    try:
        load(path)
    except PolicyError as error:
        assert error.problems


ODDITIES = string.printable.replace("\x0b", "").replace("\x0c", "") + "åé中😀\u00a0\u2028\u0085"


@settings(max_examples=150)
@given(
    at=st.integers(0, len(FULL) - 1),
    kind=st.sampled_from(["replace", "insert", "delete", "double"]),
    character=st.sampled_from(ODDITIES),
)
def test_one_wrong_character_gives_a_place(at: int, kind: str, character: str) -> None:
    """The full example with any one character changed, added, lost or doubled loads or gives problems with places."""
    middle = {"replace": character, "insert": character + FULL[at], "delete": "", "double": FULL[at] * 2}[kind]
    checked(FULL[:at] + middle + FULL[at + 1 :])


@settings(max_examples=100)
@given(st.data())
def test_one_lost_or_moved_line_gives_a_place(data: st.DataObject) -> None:
    """The full example with a line lost, doubled, moved or indented loads or gives problems with places."""
    lines = FULL.splitlines(keepends=True)
    at, to = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines) - 1))
    kind = data.draw(st.sampled_from(["lose", "double", "move", "indent", "outdent"]))
    line = lines[at]
    if kind in ("lose", "move"):
        del lines[at]
    if kind in ("double", "move"):
        lines.insert(to, line)
    if kind == "indent":
        lines[at] = " " + line
    if kind == "outdent":
        lines[at] = line.removeprefix(" ")
    checked("".join(lines))


def test_a_contract_is_read_and_checked_where_a_workload_has_one() -> None:
    """`output` is read as written, and the gate checks `contract` although `checks` does not list it."""
    output = full().output("chat")
    schema: dict[str, object] = {"type": "object", "required": ["answer"]}
    assert output == Output(language="sv", format="json", schema=schema, most_chars=4000)
    assert full().output("contract-review") is None
    assert full().output(None) is None
    assert parse(SMALL).gate.checks == ()
    assert parse(SMALL + "workloads: {w: {output: {format: text}}}\n").gate.checks == ("contract",)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("{}", "`output` needs at least one of language, format, schema, most_chars"),
        ("{language: fr}", "unknown language `fr`"),
        ("{format: yaml}", "unknown format `yaml`"),
        ("{format: json, schema: {type: nope}}", "`schema` is not a JSON Schema that can be used"),
        ("{format: json, schema: {$ref: 'https://example.com/s'}}", r"remote \$ref is not followed"),
        ("{format: json, schema: true}", "`schema` is a mapping"),
        ("{schema: {type: object}}", "write `format: json` beside it"),
        ("{format: text, schema: {type: object}}", "write `format: json` beside it"),
        ("{most_chars: 0}", "leave `most_chars` out for no limit"),
        ("{most_chars: 1.5}", "expected a whole number"),
        ("{languages: sv}", "unknown key `languages`"),
    ],
)
def test_a_contract_that_cannot_be_kept_or_read_is_an_error(output: str, told: str) -> None:
    """What is unknown, contradicts itself or asks for nothing is told with its place."""
    with pytest.raises(PolicyError, match=told):
        parse(SMALL + f"workloads: {{w: {{output: {output}}}}}\n")


def test_two_rules_cannot_share_an_id() -> None:
    """Records, cases and findings cite rules by id, so that it must name one."""
    with pytest.raises(PolicyError, match="two rules have the id `secrets`"):
        parse(changed("  - id: hard-first", "  - id: secrets"))
