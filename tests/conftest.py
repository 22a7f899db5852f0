"""What every test stands on: no keys from outside, no network but this machine, and no chance."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("ci")

_SCRUBBED_ENDINGS = ("_API_KEY", "_AUTH_TOKEN", "_API_BASE", "_BASE_URL")
_SCRUBBED_STARTS = ("LANEWAY_",)
_SCRUBBED = ("SHARED_KEY", "PREMIUM_KEY", "HF_TOKEN", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "COLUMNS")


class NetworkUsed(AssertionError):
    """A test tried to leave this machine."""


def _scrubbed(name: str) -> bool:
    return name in _SCRUBBED or name.startswith(_SCRUBBED_STARTS) or name.endswith(_SCRUBBED_ENDINGS)


def _stays_here(family: int, address: Any) -> bool:
    if family == socket.AF_UNIX:
        return True
    if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return False
    host = str(address[0]).partition("%")[0]
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _guarded_connect(self: socket.socket, address: Any) -> None:
    if not _stays_here(self.family, address):
        raise NetworkUsed(f"a test may not connect to {address!r}")
    _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address: Any) -> int:
    if not _stays_here(self.family, address):
        raise NetworkUsed(f"a test may not connect to {address!r}")
    return _connect_ex(self, address)


def pytest_configure() -> None:
    """Close the network before the first test module is imported, for the whole run."""
    socket.socket.connect = _guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = _guarded_connect_ex  # type: ignore[method-assign, assignment]


def pytest_unconfigure() -> None:
    """Give the network back."""
    socket.socket.connect = _connect  # type: ignore[method-assign]
    socket.socket.connect_ex = _connect_ex  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _no_keys_from_outside() -> Iterator[None]:
    """Every test starts without provider keys and without Laneway's own variables, and leaves none behind."""
    before = dict(os.environ)
    for name in list(os.environ):
        if _scrubbed(name):
            del os.environ[name]
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)
