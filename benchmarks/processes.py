"""processes: what the benchmark measures, each pinned to a core: the scripted lane, Laneway, and peers where installed.

A peer is nginx (on the path, or `nginx` in the directory of peers), LiteLLM's proxy (a virtual environment `litellm`
there, with `litellm[proxy]==1.81.16`: 1.82.7, 1.82.8 and 1.107.0 were compromised, and only this version is started)
or TensorZero's gateway (a virtual environment `tensorzero`, with `tensorzero`, whose package serves it over HTTP).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

LITELLM = "1.81.16"
_READY_SECONDS = 60.0

POLICY = """\
laneway: 1
name: benchmark
currency: USD
sensitivity: [public, internal, confidential, restricted]
unlabelled: {{sensitivity: internal, difficulty: auto, latency: interactive}}
lanes:
  home: {{kind: local, provider: openai, url: "{lane}", model: scripted, price: 0}}
  live: {{kind: local, provider: openai, url: "{lane}", model: scripted, price: 0, gate: after}}
  paced: {{kind: local, provider: openai, url: "{paced}", model: scripted, price: 0, gate: after}}
  premium: {{kind: premium, provider: openai, url: "{lane}", model: scripted, address: private-allowed,
            price: {{input: 3, output: 15}}}}
strength: [home, live, paced, premium]
zones: {{ours: {{kind: [local, private]}}, outside: {{kind: premium}}}}
wall:
  - {{sensitivity: [restricted, confidential], zones: [ours], says: Ours alone.}}
  - {{sensitivity: [internal, public], zones: [ours, outside], says: Outside too.}}
detect: {{identifiers: restricted, says: Numbers of people make a text restricted.}}
routes:
  - {{when: {{any: [{{difficulty: hard}}, {{stakes: high}}]}}, try: strongest, says: Hard work.}}
  - {{try: [home, cheapest], says: Other work.}}
gate:
  checks: [empty, cut-off, invalid-json, tool-call, refusal]
  waiver: {{lanes: [home, live, paced, premium], until: {until}, by: bench}}
  weak: [strongest, marked]
deadlines: {{interactive: {{first_byte: 20s, total: 120s}}}}
fallbacks:
  - {{then: [next, refuse]}}
"""
_NGINX = """\
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s;
  upstream lane {{ server {lane}; keepalive 128; keepalive_requests 100000000; }}
  upstream paced {{ server {paced}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location /v1/ {{ proxy_pass http://lane; }}
    location /paced/v1/ {{ proxy_pass http://paced/v1/; }}
  }}
}}
"""
_LITELLM = """\
model_list:
  - {{model_name: scripted, litellm_params: {{model: openai/scripted, api_base: "{lane}", api_key: none}}}}
  - {{model_name: paced, litellm_params: {{model: openai/scripted, api_base: "{paced}", api_key: none}}}}
litellm_settings: {{telemetry: false}}
"""
_TENSORZERO = """\
gateway.observability.enabled = false
[models.scripted]
routing = ["lane"]
[models.scripted.providers.lane]
type = "openai"
model_name = "scripted"
api_base = "{lane}/"
api_key_location = "none"
[models.paced]
routing = ["lane"]
[models.paced.providers.lane]
type = "openai"
model_name = "scripted"
api_base = "{paced}/"
api_key_location = "none"
"""
_TENSORZERO_SERVES = """\
import json, os, signal, sys
said = os.dup(1); os.dup2(2, 1)
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
os.write(said, (json.dumps({"url": gateway.base_url}) + "\\n").encode()); os.close(said)
signal.pause()
"""


class Target(NamedTuple):
    """Somebody to call: the process whose CPU counts, where it listens, and the model's name by kind of answer."""

    pid: int
    urls: Mapping[str, str]
    models: Mapping[str, str]


@contextmanager
def spawned(
    core: int, command: Sequence[str], environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is pinned to `core` from its start, ended with the context."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **(environ or {})}
        )
    finally:
        os.sched_setaffinity(0, mine)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def said_url(output: IO[bytes]) -> str:
    """The `url` of the JSON object with which a process begins its output, on one line or several."""
    said = b""
    for line in output:
        said += line
        with contextlib.suppress(ValueError):
            return str(json.loads(said)["url"])
    raise RuntimeError("a process did not start; run its command by hand to see why")


@contextmanager
def scripted(core: int, answer: str, delay: float = 0.0) -> Iterator[tuple[int, str]]:
    """A scripted lane: its process and its URL."""
    command = [sys.executable, "-m", "laneway.providers.scripted", "--answer", answer, "--delay", str(delay)]
    with spawned(core, command) as process:
        assert process.stdout is not None
        yield process.pid, said_url(process.stdout)


@contextmanager
def laneway(core: int, directory: Path, lane: str, paced: str) -> Iterator[Target]:
    """`laneway serve` with everything on, and its log in `directory`."""
    policy = directory / "laneway.yaml"
    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
    policy.write_text(POLICY.format(lane=lane, paced=paced, until=until))
    command = [sys.executable, "-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json"]
    with spawned(core, command) as process:
        assert process.stdout is not None
        url = said_url(process.stdout)
        models = {"whole": "auto", "held": "auto", "live": "lane/live", "paced": "lane/paced"}
        yield Target(process.pid, dict.fromkeys(models, url), models)


@contextmanager
def nginx(core: int, directory: Path, lane: str, paced: str, program: str) -> Iterator[Target]:
    """One nginx process that passes on, over connections it keeps, and logs nothing."""
    port, config = _free_port(), directory / "nginx.conf"
    hosts = {"lane": _host(lane), "paced": _host(paced)}
    config.write_text(_NGINX.format(dir=directory, port=port, **hosts))
    with spawned(core, [program, "-p", str(directory), "-c", str(config)]) as process:
        _until_open(process, port)
        url = f"http://127.0.0.1:{port}"
        urls = {"whole": f"{url}/v1", "paced": f"{url}/paced/v1"}
        yield Target(process.pid, urls, dict.fromkeys(urls, "scripted"))


@contextmanager
def litellm(core: int, directory: Path, lane: str, paced: str, program: str) -> Iterator[Target]:
    """LiteLLM's proxy: one worker, no database, no keys, no callbacks."""
    port, config = _free_port(), directory / "litellm.yaml"
    config.write_text(_LITELLM.format(lane=lane, paced=paced))
    command = [program, "-m", "litellm.proxy.proxy_cli", "--config", str(config), "--host", "127.0.0.1",
               "--port", str(port), "--num_workers", "1", "--telemetry", "False"]  # fmt: skip
    with spawned(core, command, {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}) as process:
        drained = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        try:
            _until_open(process, port, "/health/liveliness")
            urls = dict.fromkeys(("whole", "paced"), f"http://127.0.0.1:{port}/v1")
            yield Target(process.pid, urls, {"whole": "scripted", "paced": "paced"})
        finally:
            drained.terminate()
            drained.wait()


@contextmanager
def tensorzero(core: int, directory: Path, lane: str, paced: str, program: str) -> Iterator[Target]:
    """TensorZero's gateway, which its Python package serves over HTTP from Rust threads; nothing is stored."""
    config = directory / "tensorzero.toml"
    config.write_text(_TENSORZERO.format(lane=lane, paced=paced))
    with spawned(core, [program, "-c", _TENSORZERO_SERVES, str(config)]) as process:
        assert process.stdout is not None
        urls = dict.fromkeys(("whole", "paced"), said_url(process.stdout))
        models = {"whole": "tensorzero::model_name::scripted", "paced": "tensorzero::model_name::paced"}
        yield Target(process.pid, urls, models)


PEERS = {"nginx": nginx, "TensorZero": tensorzero, "LiteLLM": litellm}


def found(peers: Path | None) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Program and version of each peer that is installed, and why the others are left out."""
    here: dict[str, tuple[str, str]] = {}
    missing = []
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program:
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
        here["nginx"] = program, said.strip().rpartition("/")[2].split()[0]
    else:
        missing.append("nginx: not on the path")
    for name, package in (("TensorZero", "tensorzero"), ("LiteLLM", "litellm")):
        python = (peers / package / "bin" / "python") if peers else None
        if python is None or not python.exists():
            missing.append(f"{name}: no virtual environment `{package}` in the directory of peers")
            continue
        ask = f"import importlib.metadata as m; print(m.version('{package}'))"
        version = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
        if name == "LiteLLM" and version != LITELLM:
            missing.append(f"LiteLLM: version {version} is not started, only {LITELLM}")
        else:
            here[name] = str(python), version
    return here, missing


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _host(url: str) -> str:
    return url.removeprefix("http://").removesuffix("/v1")


def _until_open(process: subprocess.Popen[bytes], port: int, path: str = "") -> None:
    """Wait until `port` takes connections, and answers where a `path` is given."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            if path:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
            else:
                socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen on port {port}")
