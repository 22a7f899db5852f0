"""bench_console: how long the console's pages take over a long log, from a client on the same machine.

    python -m benchmarks.biglog FOLDER --decisions 525000
    python -m benchmarks.bench_console FOLDER [--times 20]

FOLDER has a policy and its log. A real `laneway serve` answers; each page is asked for one at a time, signed in as a
reviewer of its own, once the log was counted and its chain followed. Prints seconds: median, 95 % and the longest.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from laneway.clock import today
from laneway.errors import UsageError
from laneway.quantile import quantile
from laneway.review.people import FILE, People
from laneway.store.listing import Listing, Sought

__all__ = ["main"]

_WHO = "bench"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=20)
    asked = parser.parse_args()
    people = People(asked.folder / FILE)
    with suppress(UsageError):
        people.remove(_WHO)
    token = people.add(_WHO, "review", (), today())
    command = [sys.executable, "-m", "laneway.cli", "serve", "--policy", str(asked.folder / "laneway.yaml"), "--port",
               "0", "--admin-port", "0", "--json"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            _measure(_console(server), token, asked.folder / "laneway.db", asked.times)
        finally:
            server.terminate()
            people.remove(_WHO)


def _console(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    text = ""
    while not text.rstrip().endswith("\n}"):
        text += server.stdout.readline()
    return str(json.loads(text)["console"])


def _measure(url: str, token: str, log: Path, times: int) -> None:
    with closing(Listing.open(log)) as listing:
        records = listing.last()
        middle = listing.page(Sought(), before=records // 2, most=1).rows[0].id
    at = urlsplit(url)
    with closing(http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)) as line:
        origin = {"Origin": url.rstrip("/"), "Content-Type": "application/x-www-form-urlencoded"}
        line.request("POST", "/sign-in", urlencode({"token": token}), origin)
        got = line.getresponse()
        got.read()
        cookie = {"Cookie": str(got.headers["Set-Cookie"]).partition(";")[0]}

        def page(path: str) -> tuple[float, str]:
            began = time.perf_counter()
            line.request("GET", path, headers=cookie)
            got = line.getresponse()
            text = got.read().decode()
            assert got.status == 200, f"{path}: {got.status}"
            return time.perf_counter() - began, text

        while "being counted" in page("/review")[1] or not re.search("holds over all|breaks", page("/")[1]):
            time.sleep(1)
        pages = ("/", "/queue", "/decisions", f"/decisions?before={records // 2}", f"/decisions?after={records // 2}",
                 "/decisions?status=held", "/decisions?workload=nothing", "/decisions?chain=damaged",
                 f"/decisions/{middle}", "/review", "/review?since=30d", "/policy")  # fmt: skip
        print(f"{records:,} records")
        for path in pages:
            took = sorted(page(path)[0] for _ in range(times))
            print(
                f"{path.replace(middle, 'ID'):32} {quantile(took, 0.5):.3f} {quantile(took, 0.95):.3f} {took[-1]:.3f}"
            )


if __name__ == "__main__":
    main()
