"""The client's HTTP, against servers that write whatever bytes they like."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from jobs import http_client
from jobs.http_client import MAX_HEAD, HttpClient, Response, Silence

MOST = 10_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


@dataclass(slots=True)
class Far:
    """A server that answers each request by the next of `answers`, piece by piece; the last answers all others."""

    answers: list[Sequence[bytes]] = field(default_factory=lambda: [[OK]])
    closes: bool = False  #: after an answer
    reads_bodies: bool = True
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    later: bytes = b""  #: what follows an answer a moment after it
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or 0)
        body = await reader.readexactly(length) if self.reads_bodies else b""
        self.requests.append(head + body)
        for piece in self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if not self.reads_bodies:
            await asyncio.Event().wait()
        if self.later:
            await asyncio.sleep(0.01)
            writer.write(self.later)
        return not self.closes


@contextlib.asynccontextmanager
async def serving(far: Far, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """`far` as a server; its URL."""
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0, ssl=tls)
    far.port = server.sockets[0].getsockname()[1]
    yield f"http{'s' if tls else ''}://127.0.0.1:{far.port}"
    server.close()
    for task in far.tasks:
        task.cancel()
    await asyncio.gather(*far.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def calling(far: Far, *, seconds: float = 20, **more: Any) -> AsyncIterator[HttpClient]:
    """A client of `far`."""
    async with serving(far) as url:
        client = HttpClient(URL(url), {"Accept": "*/*"}, seconds, **more)
        yield client
        await client.close()


async def ask(client: HttpClient) -> Response:
    """A GET."""
    return await client.call("GET", "/x", most=MOST)


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\n%s\r\n"
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, Response(200, {"content-length": "2"}, b"ok")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Response(204, {}, b"")),
        (b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", Response(404, {"content-length": "0"}, b"")),
        (CHUNKED % b"", Response(200, {"transfer-encoding": "chunked", "a": "b"}, b"abcd")),
        (CHUNKED % b"A: c\r\nB: d\r\n", Response(200, {"transfer-encoding": "chunked", "a": "b"}, b"abcd")),
        (
            b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 C\r\n\r\n" + OK,
            Response(200, {"content-length": "2"}, b"ok"),
        ),
        (
            b"HTTP/1.1 199 ?\r\nContent-Length: 2\r\n\r\n??" + OK,
            Response(200, {"content-length": "2"}, b"ok"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nX: 1\r\nx:  2 \r\nContent-Length: 0\r\n\r\n",
            Response(200, {"x": "1, 2", "content-length": "0"}, b""),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
            Response(
                200,
                {"content-encoding": "gzip", "content-length": "2"},
                b"",
                "it answered 200 with a compressed body",
            ),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            Response(
                200,
                {"transfer-encoding": "gzip, chunked"},
                b"",
                "it answered 200 with a compressed body",
            ),
        ),
    ],
)
async def test_an_answer_is_read_alike_wherever_it_is_cut(answer: bytes, expected: Response) -> None:
    far = Far()
    async with calling(far) as client:
        for cut in range(len(answer)):
            far.answers = [[answer[:cut], answer[cut:]]]
            assert await ask(client) == expected
        far.answers = [[answer[place : place + 1] for place in range(len(answer))]]
        assert await ask(client) == expected


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[bytes], int, bytes, bool]:
    """An answer in pieces, its status, its body, and whether it ends by closing."""
    status = draw(st.integers(200, 599).filter(lambda number: number not in {204, 304}))
    body = draw(st.binary(max_size=300))
    framing = draw(st.sampled_from(["length", "chunked", "closing"]))
    head = draw(st.sampled_from([b"", b"HTTP/1.1 102 Processing\r\n\r\n"])) + b"HTTP/1.1 %d\r\n" % status
    if framing == "length":
        raw = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    elif framing == "closing":
        raw = head + b"\r\n" + body
    else:
        size = draw(st.integers(1, 50))
        parts = [body[place : place + size] for place in range(0, len(body), size)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        raw = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return pieces, status, body, framing == "closing"


@given(st.lists(answers(), min_size=1, max_size=4))
def test_made_up_answers_are_read_as_they_were_meant(
    made: list[tuple[list[bytes], int, bytes, bool]],
) -> None:
    async def check() -> None:
        far = Far()
        async with calling(far) as client:
            for pieces, status, body, closes in made:
                far.answers, far.closes = [pieces], closes
                seen = await ask(client)
                assert (seen.status, seen.body, seen.spoilt) == (status, body, None)

    asyncio.run(check())


async def test_connections_are_kept_and_used_again() -> None:
    far = Far()
    async with calling(far) as client:
        for _ in range(3):
            await asyncio.gather(*(ask(client) for _ in range(5)))
    assert (len(far.requests), far.connections) == (15, 5)


@pytest.mark.parametrize("answer", [CLOSING, OK.replace(b"HTTP/1.1", b"HTTP/1.0"), OK + OK, OK + b"nonsense"])
async def test_a_connection_that_ends_or_says_too_much_is_not_used_again(answer: bytes) -> None:
    far = Far(answers=[[answer], [CLOSING.replace(b"ok", b"no")]])
    async with calling(far) as client:
        assert (await ask(client)).body == b"ok"
        assert (await ask(client)).body == b"no"
    assert far.connections == 2


async def test_what_comes_unasked_for_answers_nothing() -> None:
    far = Far(answers=[[OK], [CLOSING.replace(b"ok", b"no")]], later=OK.replace(b"ok", b"??"))
    async with calling(far) as client:
        assert (await ask(client)).body == b"ok"
        await asyncio.sleep(0.05)
        assert (await ask(client)).body == b"no"


async def test_an_answer_to_half_a_request_ends_the_connection() -> None:
    far = Far(reads_bodies=False, closes=False)
    async with calling(far) as client:
        most_of_it_never_read = b"x" * 50_000_000
        assert (await client.call("POST", "/x", most=MOST, body=most_of_it_never_read)).body == b"ok"
        assert (await ask(client)).body == b"ok"
    assert far.connections == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_a_get_is_sent_again_when_its_connection_had_ended(method: str) -> None:
    far = Far(answers=[[OK], [], [OK]])
    async with calling(far) as client:
        await ask(client)
        far.closes = True
        if method == "GET":
            assert (await ask(client)).body == b"ok"
        else:
            with pytest.raises(Silence, match="the connection broke"):
                await client.call("POST", "/x", most=MOST)
    assert far.connections == (2 if method == "GET" else 1)


async def test_a_server_that_always_hangs_up_is_not_asked_for_ever() -> None:
    far = Far(answers=[[]], closes=True)
    async with calling(far) as client:
        with pytest.raises(Silence, match="the connection broke"):
            await ask(client)
    assert far.connections == 1


async def test_a_get_that_broke_within_its_answer_is_not_sent_again() -> None:
    far = Far(answers=[[OK], [OK[:-1]]])
    async with calling(far) as client:
        await ask(client)
        far.closes = True
        with pytest.raises(Silence, match="the connection broke"):
            await ask(client)
    assert far.connections == 1


async def test_what_has_been_idle_for_long_is_closed_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "IDLE_SECONDS", 0.05)
    far = Far()
    async with calling(far) as client:
        await ask(client)
        await ask(client)
        await asyncio.sleep(0.1)
        await ask(client)
    assert far.connections == 2


@pytest.mark.parametrize(
    "flood",
    [
        [b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD],
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * (MAX_HEAD // 20),
        [CHUNKED[: CHUNKED.index(b"%s")] + b"X: " + b"a" * (MAX_HEAD + 2 * MOST)],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;%s\r\na\r\n" % (b"x" * 90) * 1_000],
    ],
    ids=["head", "words in between", "trailer", "chunks"],
)
async def test_what_surrounds_a_body_has_an_end_too(flood: list[bytes]) -> None:
    async with calling(Far(answers=[flood])) as client:
        try:
            said = (await ask(client)).spoilt or ""
        except Silence as silence:
            said = silence.reason
    assert "with more than" in said or "is not HTTP" in said


async def test_another_protocol_is_not_spoken() -> None:
    far = Far(answers=[[b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"]])
    async with calling(far) as client:
        with pytest.raises(Silence, match="not HTTP"):
            await ask(client)


async def test_a_call_that_is_given_up_takes_its_connection_along() -> None:
    far = Far(answers=[[], [OK]])
    async with calling(far) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(client)
        assert (await ask(client)).body == b"ok"
    assert far.connections == 2


async def test_a_call_that_is_given_up_as_its_answer_comes_leaves_no_connection() -> None:
    far = Far()
    async with calling(far) as client:
        await ask(client)
        [connection] = client._idle
        call = asyncio.create_task(ask(client))
        await asyncio.sleep(0)
        connection.data_received(OK)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert not client._idle
        assert connection._transport.is_closing()


async def test_a_length_of_thousands_of_digits_is_too_long() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %s2\r\n\r\nok" % (b"0" * 5_000)
    async with calling(Far(answers=[[answer]])) as client:
        assert "with more than" in ((await ask(client)).spoilt or "")


async def test_what_is_asked_again_has_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    far, limits = Far(answers=[[OK], []]), []

    async def connect(_: object, deadline: float) -> Any:
        limits.append(deadline)
        raise Silence("enough was seen")

    async with calling(far) as client:
        await ask(client)
        far.closes = True
        monkeypatch.setattr(HttpClient, "_connect", connect)
        latest = asyncio.get_running_loop().time() + 20
        with pytest.raises(Silence, match="enough"):
            await ask(client)
    assert limits[0] - latest < 10  # a test that is slow by so much is none


async def test_a_slow_look_up_is_made_once_and_of_use_to_who_asks_later() -> None:
    far, asked, found = Far(), [], asyncio.Event()

    async def lookup(host: str, port: int) -> Sequence[tuple[Any, ...]]:
        asked.append(host)
        await found.wait()
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    async with serving(far) as url:
        client = HttpClient(URL(url), {}, 0.1, lookup=lookup)
        for _ in range(2):
            seen = await asyncio.gather(*(ask(client) for _ in range(3)), return_exceptions=True)
            assert [str(one) for one in seen] == ["no connection in time"] * 3
        found.set()
        await asyncio.sleep(0.01)
        client._seconds = 20
        assert (await ask(client)).body == b"ok"
        await client.close()
    assert len(asked) == 1


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label empty or too long")])
async def test_a_name_that_is_none_is_said_to_all_who_wait(error: Exception) -> None:
    asked = []

    async def lookup(host: str, port: int) -> Sequence[tuple[Any, ...]]:
        asked.append(port)
        await asyncio.sleep(0.01)
        raise error

    client = HttpClient(URL("http://cluster.invalid"), {}, 20, lookup=lookup)
    seen = await asyncio.gather(*(ask(client) for _ in range(3)), return_exceptions=True)
    await client.close()
    assert [str(one) for one in seen] == ["its host name is unknown"] * 3
    assert len(asked) == 1


async def test_another_address_of_the_name_is_tried() -> None:
    far = Far()
    asked = []

    async def lookup(host: str, port: int) -> Sequence[tuple[Any, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port)) for port in (1, far.port)]  # at the first nobody listens

    async with serving(far) as url:
        client = HttpClient(URL(url).with_host("cluster.invalid"), {}, 20, lookup=lookup)
        answered = await asyncio.gather(*(ask(client) for _ in range(3)))
        await client.close()
    assert [answer.body for answer in answered] == [b"ok"] * 3
    assert asked == ["cluster.invalid"]
    assert far.requests[0].startswith(b"GET /x HTTP/1.1\r\nHost: cluster.invalid:%d\r\n" % far.port)


async def test_a_name_may_have_letters_beyond_ascii() -> None:
    client = HttpClient(URL("http://bücher.invalid", encoded=True), {}, 20)
    with pytest.raises(Silence, match="its host name is unknown"):
        await ask(client)
    await client.close()


async def test_a_header_cannot_bring_in_another() -> None:
    with pytest.raises(ValueError, match="one line"):
        HttpClient(URL("http://127.0.0.1"), {"Authorization": "Bearer a\r\nX: y"}, 1)


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("here.test")]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("trusted", [True, False])
async def test_tls_is_spoken_to_those_whose_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
) -> None:
    certificate, key = _certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    far = Far()
    async with serving(far, tls) as url:
        client = HttpClient(URL(url), {}, 20)
        if trusted:
            assert [(await ask(client)).body for _ in range(2)] == [b"ok"] * 2
        else:
            with pytest.raises(Silence, match="no connection") as caught:
                await ask(client)
            assert not caught.value.sent
        await client.close()
    assert (len(far.requests), far.connections) == ((2, 1) if trusted else (0, 0))


async def test_the_root_of_a_name_is_in_no_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked = []

    async def lookup(host: str, port: int) -> Sequence[tuple[Any, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    async with serving(Far(), tls) as url:
        client = HttpClient(URL(url.replace("127.0.0.1", "here.test."), encoded=True), {}, 20, lookup=lookup)
        assert (await ask(client)).body == b"ok"
        await client.close()
    assert asked == ["here.test."]
