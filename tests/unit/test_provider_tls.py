"""Lanes prove who they are, by the system's roots or by a CA of the policy's; we prove who we are; proxies are passed."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.harness import bench, policy_text
from tests.policies import FULL, changed

from laneway.errors import LaneError, PolicyError
from laneway.gateway import Active
from laneway.lane import Lane, Proxy, Tls
from laneway.policy_file import parse
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import ScriptedLane

CA, OTHER = trustme.CA(), trustme.CA()
DAY = datetime.timedelta(days=1)
KEY, PROMPT = "sk-canary-key", "canary-prompt-text"
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
BODY = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % PROMPT.encode()


def written(path: Path, *blobs: trustme.Blob) -> str:
    """A file with these, as the policy names it."""
    path.write_bytes(b"".join(blob.bytes() for blob in blobs))
    return f"file:{path}"


def serving_as(name: str = "127.0.0.1", *, expired: bool = False, clients: bool = False) -> ssl.SSLContext:
    """How a server proves to be `name`, and whether its clients must prove themselves."""
    over = datetime.datetime.now(datetime.UTC) - DAY
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(name, not_after=over if expired else None).configure_cert(context)
    if clients:
        CA.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def lane_at(url: str, **more: Any) -> Lane:
    """An external lane on this machine."""
    return Lane(name="far", kind="premium", provider="openai", url=url, model="m", key="env:KEY", private_address=True,
                **more)  # fmt: skip


async def call(lane: Lane, environ: dict[str, str] | None = None) -> str:
    """What a call ends in: the status, or the error's code. No error holds a secret."""
    provider = HttpProvider({"far": lane}, {"KEY": KEY} | (environ or {}))
    try:
        async with provider.call(lane, BODY, stream=False) as reply:
            async for _ in reply.chunks():
                pass
            return str(reply.status)
    except LaneError as error:
        assert not any(secret in f"{error} {provider.closed}" for secret in (KEY, PROMPT, "BEGIN", "user:pass"))
        return error.code
    finally:
        await provider.close()


def ended(server: ssl.SSLContext, tls: Tls | None) -> tuple[str, int]:
    """How a call of a TLS lane ends, and how many requests its server saw."""

    async def main() -> tuple[str, int]:
        async with ScriptedLane(tls=server) as far:
            return await call(lane_at(far.url.replace("http:", "https:"), tls=tls)), far.requests

    return uvloop.run(asyncio.wait_for(main(), 20))


def test_a_lane_proves_itself_by_the_policys_ca(tmp_path: Path) -> None:
    """With its CA it is called; by the system's roots, or another CA, it is not, and sees no request."""
    ca = written(tmp_path / "ca", CA.cert_pem)
    assert ended(serving_as(), Tls(ca=ca)) == ("200", 1)
    assert ended(serving_as(), None) == ("tls", 0)
    assert ended(serving_as(), Tls(ca=written(tmp_path / "other", OTHER.cert_pem))) == ("tls", 0)


def test_a_certificate_signed_by_itself_is_no_proof(tmp_path: Path) -> None:
    """A server that vouches for itself is refused by the roots and by a CA, and taken where the policy names just it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + DAY)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = made.add_extension(address, critical=True).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    cert = written(tmp_path / "own", trustme.Blob(own))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "own", written(tmp_path / "key", trustme.Blob(secret)).removeprefix("file:"))
    assert ended(server, None) == ("tls", 0)
    assert ended(server, Tls(ca=written(tmp_path / "ca", CA.cert_pem))) == ("tls", 0)
    assert ended(server, Tls(ca=cert)) == ("200", 1)


def test_session_keys_are_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment cannot have them written to a file, from which a recorded call could be read."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    # A CA of its own: trust is made once for each content.
    assert ended(serving_as(), Tls(ca=written(tmp_path / "ca", CA.cert_pem, OTHER.cert_pem))) == ("200", 1)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("wrong", ["name", "date"])
def test_a_lane_that_proves_something_else_is_not_called(tmp_path: Path, wrong: str) -> None:
    """Another name, or a certificate that has ended, is no proof."""
    server = serving_as("lane.example") if wrong == "name" else serving_as(expired=True)
    assert ended(server, Tls(ca=written(tmp_path / "ca", CA.cert_pem))) == ("tls", 0)


def test_we_prove_ourselves_to_a_lane_that_asks(tmp_path: Path) -> None:
    """A lane that wants a client certificate is called with one, and without one it is not."""
    ca, own = written(tmp_path / "ca", CA.cert_pem), CA.issue_cert("laneway.example")
    cert = written(tmp_path / "cert", *own.cert_chain_pems)
    key = written(tmp_path / "key", own.private_key_pem)
    assert ended(serving_as(clients=True), Tls(ca, cert, key)) == ("200", 1)
    code, requests = ended(serving_as(clients=True), Tls(ca))
    assert (code in ("tls", "disconnected"), requests) == (True, 0)


@pytest.mark.parametrize("what", ["ca", "cert", "key"])
@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_that_cannot_be_used_closes_the_lane(tmp_path: Path, what: str, content: str | None) -> None:
    """A missing or useless file closes its lane, with the reason; nothing is sent by another proof."""
    own = CA.issue_cert("laneway.example")
    files = {"ca": written(tmp_path / "ca", CA.cert_pem), "cert": written(tmp_path / "cert", *own.cert_chain_pems),
             "key": written(tmp_path / "key", own.private_key_pem)}  # fmt: skip
    (tmp_path / what).unlink()
    if content is not None:
        (tmp_path / what).write_text(content)
    lane = lane_at("https://127.0.0.1:9/v1", tls=Tls(**files))
    provider = HttpProvider({"far": lane}, {"KEY": KEY})
    assert provider.closed["far"].startswith("lane `far` is closed: its tls ")
    assert uvloop.run(call(lane)) == "credentials"


def test_lanes_that_trust_differently_share_no_connection(tmp_path: Path) -> None:
    """A connection that was proved by one CA does not serve a lane that trusts another, also in a new policy."""

    async def main() -> list[str]:
        async with ScriptedLane(tls=serving_as()) as far:
            url, found = far.url.replace("http:", "https:"), []
            lane = lane_at(url, tls=Tls(ca=f"file:{tmp_path}/ca"))
            written(tmp_path / "ca", CA.cert_pem)
            provider = HttpProvider({"far": lane}, {"KEY": KEY})
            for ca in (CA, OTHER, CA):
                written(tmp_path / "ca", ca.cert_pem)  # the same name: what counts is what the file holds
                provider = provider.renewed({"far": lane}, {"KEY": KEY})
                try:
                    async with provider.call(lane, BODY, stream=False) as reply:
                        async for _ in reply.chunks():
                            pass
                        found.append("200")
                except LaneError as error:
                    found.append(error.code)
            await provider.close()
            return [*found, str(far.connections)]

    assert uvloop.run(asyncio.wait_for(main(), 20)) == ["200", "tls", "200", "1"]


class Company:
    """A proxy of an organisation's: joins what asks it to, and keeps what it heard before that."""

    def __init__(self, answer: bytes = GRANTED, *, hangs: bool = False) -> None:
        self.answer, self.hangs, self.heard, self.passed = answer, hangs, b"", b""

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Company]:
        """The proxy while it listens."""
        async with await asyncio.start_server(self._join, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        if b" 200 " in self.answer:
            port = int(self.heard.split(b" ")[1].rpartition(b":")[2])
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        if self.hangs:
            self.passed += await reader.read()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**16):
                self.passed += data
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()


def by_proxy(tmp_path: Path, company: Company, key: str | None = None, host: str = "lane.example") -> tuple[str, int]:
    """How a call through a proxy ends, and how many requests the lane saw."""

    async def main() -> tuple[str, int]:
        async with ScriptedLane(tls=serving_as(host)) as far, company.up():
            url = f"https://{host}:{far.url.rpartition(':')[2]}"
            lane = lane_at(url, tls=Tls(ca=written(tmp_path / "ca", CA.cert_pem)),
                           proxy=Proxy("127.0.0.1", company.port, key))  # fmt: skip
            return await call(lane, {"PROXY": "user:pass"}), far.requests

    return uvloop.run(asyncio.wait_for(main(), 20))


def test_a_lane_is_reached_through_its_proxy(tmp_path: Path) -> None:
    """The proxy looks the name up; it hears the name and its own credentials, and no word of key or prompt."""
    company = Company()
    assert by_proxy(tmp_path, company, "env:PROXY") == ("200", 1)
    assert company.heard.startswith(b"CONNECT lane.example:")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in company.heard
    assert KEY.encode() not in company.heard + company.passed
    assert PROMPT.encode() not in company.heard + company.passed


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "proxy"),
        (b"220 mail.example ESMTP\r\n\r\n", "proxy"),
        (b"HTTP/1.1 200 Connection established\r\n\r\nand more", "proxy"),
        (b"HTTP/1.1 200 Connection established\r\n" + b"x: y\r\n" * 5000, "proxy"),
        (b"", "proxy"),
    ],
)
def test_a_proxy_that_does_not_let_through_is_an_outage(tmp_path: Path, answer: bytes, code: str) -> None:
    """Whatever else it says, the lane is not reached, and nothing is sent to the proxy after its own greeting."""
    company = Company(answer)
    assert by_proxy(tmp_path, company) == (code, 0)
    assert KEY.encode() not in company.passed


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        ("407", "proxy"),
        ("down", "unreachable"),
        ("silent", "connect-timeout"),
        ("keyless", None),
        ("ca", "tls"),
    ],
)
def test_another_lane_answers_where_proxy_or_proof_fail(tmp_path: Path, trouble: str, cause: str | None) -> None:
    """Through the whole server: the client gets an answer, the log the cause; a closed lane is not in the plan."""

    async def main() -> None:
        said = {"407": b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "silent": b"HTTP/1.1 407"}
        company = Company(said.get(trouble, GRANTED), hangs=trouble == "silent")
        async with ScriptedLane(tls=serving_as()) as far, company.up(), bench(tmp_path) as b:
            port = 9 if trouble == "down" else company.port
            ca = written(tmp_path / "ca", (OTHER if trouble == "ca" else CA).cert_pem)
            proxy = f'proxy: {{url: "http://127.0.0.1:{port}"{", key: env:NONE" if trouble == "keyless" else ""}}}'
            text = policy_text(b.home.url, far.url.replace("http:", "https:"))
            policy = parse(text.replace("    key: env", f"    tls: {{ca: {ca}}}\n    {proxy}\n    key: env"))
            provider = HttpProvider(policy.lanes, {"PREMIUM_KEY": KEY})
            b.gateway.active = Active(policy, provider, provider.closed)
            got = await b.ask(f"Prove that the algorithm terminates, step by step. {PROMPT}")
            await provider.close()
            assert (got.status, got.headers["laneway-lane"], far.requests) == (200, "home", 0)
            later = [intent.entry.cause for intent in b.story().intents[1:]]
            assert later == ([] if cause is None else [cause])
            assert not any(secret.encode() in company.heard + company.passed for secret in (KEY, PROMPT))

    uvloop.run(asyncio.wait_for(main(), 30))


def test_a_proxy_is_never_passed_by(tmp_path: Path) -> None:
    """A proxy that is down makes its lane unreachable, though the lane itself could be reached."""

    async def main() -> tuple[str, int]:
        async with ScriptedLane(tls=serving_as()) as far:
            url = far.url.replace("http:", "https:")
            tls = Tls(ca=written(tmp_path / "ca", CA.cert_pem))
            return await call(lane_at(url, tls=tls, proxy=Proxy("127.0.0.1", 9))), far.requests

    assert uvloop.run(asyncio.wait_for(main(), 20)) == ("unreachable", 0)


def test_a_proxys_key_that_is_missing_closes_its_lane() -> None:
    """No proxy is greeted without the credentials that the policy names for it."""
    lane = lane_at("https://lane.example/v1", proxy=Proxy("127.0.0.1", 9, "env:PROXY"))
    told = "lane `far` is closed: its environment variable PROXY is not set"
    assert HttpProvider({"far": lane}, {"KEY": KEY}).closed == {"far": told}
    assert uvloop.run(call(lane)) == "credentials"


def test_a_name_in_other_letters_reaches_the_proxy_as_it_is_registered(tmp_path: Path) -> None:
    """The proxy hears the form of the name that a look-up takes, and the certificate proves that form."""
    company = Company()
    assert by_proxy(tmp_path, company, host="bücher.example") == ("200", 1)
    assert company.heard.startswith(b"CONNECT xn--bcher-kva.example:")


@pytest.mark.parametrize("more", [{"proxy": Proxy("127.0.0.1", 9)}, {"tls": Tls(ca="file:/c")}])
def test_a_lane_without_https_is_not_called_past_its_proxy(more: dict[str, Any]) -> None:
    """The policy's loader refuses such a lane; made some other way, it is not called either."""

    async def main() -> tuple[str, int]:
        async with ScriptedLane() as far:
            return await call(lane_at(far.url, **more)), far.requests

    assert uvloop.run(asyncio.wait_for(main(), 20)) == ("unreachable", 0)


def test_a_proxy_is_inside_our_networks(tmp_path: Path) -> None:
    """Unless its lane may be at any address, a proxy outside the policy's networks is not greeted."""

    async def main() -> str:
        async with Company().up() as company:
            lane = Lane(name="far", kind="premium", provider="openai", url="https://lane.example/v1", model="m",
                        proxy=Proxy("127.0.0.1", company.port))  # fmt: skip
            provider = HttpProvider({"far": lane}, {}, ("10.0.0.0/8",))
            try:
                async with provider.call(lane, BODY, stream=False):
                    return "let through"
            except LaneError as error:
                assert company.heard == b""
                return error.code

    assert uvloop.run(asyncio.wait_for(main(), 20)) == "forbidden-address"


@pytest.mark.parametrize(
    ("lane", "more", "told"),
    [
        ("    key: env:SHARED_KEY\n", "    tls: {cert: file:/c}\n", "`tls` takes a `ca`, or `cert` and `key` together"),
        ("    key: env:SHARED_KEY\n", "    tls: {ca: /c}\n", "expected a file such as file:/etc/laneway/ca.pem"),
        ("    key: env:SHARED_KEY\n", "    tls: {verify: no}\n", "unknown key `verify` in `tls`"),
        ("    key: env:SHARED_KEY\n", "    proxy: {url: 'https://p.example:1'}\n", "expected a proxy such as"),
        ("    key: env:SHARED_KEY\n", "    proxy: {url: 'http://p.example'}\n", "expected a proxy such as"),
        ("    key: env:SHARED_KEY\n", "    proxy: {url: 'http://a:b@p.example:1'}\n", "must not hold a credential"),
        ("    reports: qwen3-8b\n", "    proxy: {url: 'http://p.example:1'}\n", "a proxy would hide where it is"),
        ("    reports: qwen3-8b\n", "    tls: {ca: file:/c}\n", "`tls` is for lanes with an https url"),
    ],
)
def test_what_no_lane_may_have_is_told(lane: str, more: str, told: str) -> None:
    """Half a certificate, a proxy of another kind, credentials in a url and what makes no sense are errors with a place."""
    with pytest.raises(PolicyError, match=told):
        parse(changed(lane, lane + more))


def test_the_grammar_takes_them() -> None:
    """The full policy has a lane with both."""
    lane = parse(FULL).lanes["premium"]
    assert lane.tls == Tls("file:/etc/laneway/ca.pem", "file:/etc/laneway/cert.pem", "file:/etc/laneway/key.pem")
    assert lane.proxy == Proxy("proxy.example.com", 3128, "env:PROXY_KEY")
