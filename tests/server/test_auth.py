"""Who is let in: only whoever holds a token that is good in every respect, and nobody learns which one was missing."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.auth import Authenticator, Unauthenticated
from server.replies import Refused
from tests.server.web import SECRET, Site, listening, settings_of, site, token

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; a change to None leaves one out."""
    good = {"sub": "ada", "iat": NOW, "exp": NOW + HOUR}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(
    key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **more: Any
) -> str:
    """A token with these claims."""
    return jwt.encode(claims(**more), key, algorithm=algorithm, headers=headers)


def handmade(header: dict[str, Any], payload: object, signature: str = "") -> str:
    """A token that no library would make."""
    parts = (json.dumps(part).encode() for part in (header, payload))
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), signature])


@pytest.fixture(scope="module")
async def api(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site(settings_of(tmp_path_factory.mktemp("api")), template=sqlite_template) as served:
        yield served


OTHER = "another secret of at least 32 bytes, too"
RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
GOOD: dict[str, Callable[[], list[str]]] = {
    "as it should be": lambda: [f"Bearer {signed()}"],
    "the scheme in small letters": lambda: [f"bearer {signed()}"],
    "the scheme in capitals": lambda: [f"BEARER {signed()}"],
    "more spaces": lambda: [f"Bearer   {signed()}"],
    "just expired, within the leeway": lambda: [
        f"Bearer {signed(exp=datetime.now(UTC) - timedelta(seconds=20))}"
    ],
    "issued by a fast clock": lambda: [f"Bearer {signed(iat=datetime.now(UTC) + timedelta(seconds=20))}"],
    "an audience that nobody asks for": lambda: [f"Bearer {signed(aud='authenticated')}"],
    "further claims": lambda: [f"Bearer {signed(role='authenticated', email='ada@example.org')}"],
}
BAD: dict[str, Callable[[], list[str]]] = {
    "none": list,
    "an empty header": lambda: [""],
    "no token": lambda: ["Bearer"],
    "no scheme": lambda: [signed()],
    "another scheme": lambda: [f"Basic {signed()}"],
    "two headers": lambda: [f"Bearer {signed()}", f"Bearer {signed()}"],
    "two tokens": lambda: [f"Bearer {signed()} {signed()}"],
    "nonsense": lambda: ["Bearer nonsense"],
    "dots": lambda: ["Bearer .."],
    "a hundred kilobytes": lambda: [f"Bearer {'a' * 8200}"],
    "another key": lambda: [f"Bearer {signed(OTHER)}"],
    "a changed signature": lambda: [f"Bearer {signed()[:-3]}abc"],
    "no signature": lambda: [f"Bearer {signed().rpartition('.')[0]}."],
    "no algorithm": lambda: [f"Bearer {jwt.encode(claims(), '', algorithm='none')}"],
    "none in capitals": lambda: [f"Bearer {handmade({'alg': 'NONE'}, {'sub': 'ada', 'iat': 1, 'exp': 9e9})}"],
    "an algorithm that is a list": lambda: [f"Bearer {handmade({'alg': ['HS256']}, {'sub': 'ada'})}"],
    "an algorithm that we do not take": lambda: [f"Bearer {signed(SECRET * 2, 'HS512')}"],
    "RS256 without JWKS": lambda: [f"Bearer {signed(RSA, 'RS256')}"],
    "a header that must be understood": lambda: [f"Bearer {signed(headers={'crit': ['exp']})}"],
    "expired": lambda: [f"Bearer {signed(exp=datetime.now(UTC) - timedelta(seconds=40))}"],
    "of the future": lambda: [f"Bearer {signed(nbf=datetime.now(UTC) + timedelta(seconds=40))}"],
    "issued in the future": lambda: [f"Bearer {signed(iat=datetime.now(UTC) + timedelta(seconds=40))}"],
    "no exp": lambda: [f"Bearer {signed(exp=None)}"],
    "no iat": lambda: [f"Bearer {signed(iat=None)}"],
    "no sub": lambda: [f"Bearer {signed(sub=None)}"],
    "exp as text": lambda: [f"Bearer {signed(exp='9999999999')}"],
    "iat as text": lambda: [f"Bearer {signed(iat='1')}"],
    "exp as truth": lambda: [f"Bearer {signed(exp=True)}"],
    "exp without end": lambda: [f"Bearer {signed(exp=1e400)}"],
    "an empty sub": lambda: [f"Bearer {signed(sub='')}"],
    "a dot as sub": lambda: [f"Bearer {signed(sub='.')}"],
    "two dots as sub": lambda: [f"Bearer {signed(sub='..')}"],
    "a path as sub": lambda: [f"Bearer {signed(sub='../bob')}"],
    "a line break in sub": lambda: [f"Bearer {signed(sub='ada' + chr(10))}"],
    "a long sub": lambda: [f"Bearer {signed(sub='a' * 129)}"],
    "claims that are a list": lambda: [f"Bearer {handmade({'alg': 'HS256'}, ['ada'], 'aaaa')}"],
}


@pytest.mark.parametrize("what", GOOD)
async def test_a_good_token_lets_its_user_in(api: Site, what: str) -> None:
    headers = [("Authorization", line) for line in GOOD[what]()]
    answer = await api.http.post("/graphql", json={"query": "{ viewer { id } }"}, headers=headers)
    assert answer.json() == {"data": {"viewer": {"id": "ada"}}}


@pytest.mark.parametrize("what", BAD)
async def test_everybody_else_gets_the_same_401_before_the_question_is_read(api: Site, what: str) -> None:
    headers = [("Authorization", line) for line in BAD[what]()]
    answers = [
        await api.http.post("/graphql", json={"query": "{ viewer { id } }"}, headers=headers),
        await api.http.post(
            "/graphql", content=b"x" * 200_000, headers=[*headers, ("Content-Type", "text/plain")]
        ),
        await api.http.get("/graphql", params={"query": "{"}, headers=headers),
        await api.http.get(f"/graphql?query=%7Ba%7D&access_token={token()}", headers=headers),
    ]
    assert {(answer.status_code, answer.headers["WWW-Authenticate"]) for answer in answers} == {
        (401, 'Bearer realm="lora-pipeline"')
    }
    sentence = "A valid bearer token is needed."
    same = {"errors": [{"message": sentence, "extensions": {"code": "UNAUTHENTICATED"}}]}
    assert all(answer.json() == same for answer in answers)


async def test_two_headers_are_a_401_also_when_the_second_comes_alone(api: Site) -> None:
    good = f"Bearer {token()}"
    for first, second in ((good, good), (good, "x"), ("x", good)):
        raw = (
            f"GET /graphql?query=%7Bviewer%7Bid%7D%7D HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: {first}\r\nauthorization: {second}\r\n\r\n"
        )
        assert (await api.raw(raw.encode())).startswith(b"HTTP/1.1 401 ")


async def test_audience_and_issuer_are_asked_for_when_they_are_set(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, JWT_AUDIENCE="authenticated", JWT_ISSUER="https://auth.example/v1")
    door = Authenticator(settings)
    right: dict[str, Any] = {"aud": "authenticated", "iss": "https://auth.example/v1"}
    assert await door.user_of([f"Bearer {signed(**right)}"]) == "ada"
    assert await door.user_of([f"Bearer {signed(**right | {'aud': ['x', 'authenticated']})}"]) == "ada"
    changes: list[dict[str, Any]] = [
        {"aud": "anon"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
    ]
    for wrong in changes:
        with pytest.raises(Unauthenticated):
            await door.user_of([f"Bearer {signed(**right | wrong)}"])


async def test_a_token_that_was_good_is_remembered_for_a_while(tmp_path: Path) -> None:
    now = datetime.now(UTC)  # of this test: PyJWT goes by the real clock
    clock = [now.timestamp()]
    door = Authenticator(settings_of(tmp_path), clock=lambda: clock[0])
    short = signed(exp=now + timedelta(seconds=60))
    assert await door.user_of([f"Bearer {short}"]) == "ada"
    assert list(door._good) == [short]
    assert await door.user_of([f"bearer {short}"]) == "ada"
    for scheme in ("Basic", "", "Bearer x"):
        with pytest.raises(Unauthenticated):
            await door.user_of([f"{scheme} {short}"])
    clock[0] += 60
    await door.user_of([f"Bearer {signed(sub='bob')}"])
    assert await door.user_of([f"Bearer {short}"]) == "ada"  # checked anew, and within the leeway still good

    long, later = signed(sub="cleo"), now.timestamp() + 1_000
    await door.user_of([f"Bearer {long}"])
    assert door._good[long][1] < later  # though it is good for an hour


class Keys:
    """A JWKS endpoint that counts its visitors and can be away."""

    def __init__(self) -> None:
        self.visits, self.is_away = 0, False

    async def __call__(self, _: Request) -> Response:
        self.visits += 1
        if self.is_away:
            return Response("away", 503)
        keys = [
            jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig"},
            jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key(), as_dict=True) | {"kid": "ec", "use": "sig"},
        ]
        return JSONResponse({"keys": keys})


@pytest.fixture
async def keys() -> AsyncIterator[tuple[Keys, str]]:
    served = Keys()
    async with listening(Starlette(routes=[Route("/jwks.json", served.__call__)])) as url:
        yield served, f"{url}/jwks.json"


async def test_tokens_are_checked_with_the_keys_of_a_jwks(keys: tuple[Keys, str], tmp_path: Path) -> None:
    served, url = keys
    door = Authenticator(settings_of(tmp_path, JWT_SECRET="", JWT_JWKS_URL=url))
    for number in range(20):
        for key, algorithm, kid in ((RSA, "RS256", "rsa"), (EC, "ES256", "ec")):
            good = signed(key, algorithm, {"kid": kid}, sub=f"user-{number}")
            assert await door.user_of([f"Bearer {good}"]) == f"user-{number}"
    assert served.visits == 1
    stranger = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    public = RSA.public_key().public_numbers().n.to_bytes(256, "big").hex()
    for wrong in (
        signed(stranger, "RS256", {"kid": "rsa"}),
        signed(RSA, "RS256", {"kid": "other"}),
        signed(RSA, "RS256", {"kid": "../../etc/passwd"}),
        signed(RSA, "RS256"),
        signed(RSA, "PS256", {"kid": "rsa"}),
        signed(EC, "ES256", {"kid": "rsa"}),
        signed(public, "HS256", {"kid": "rsa"}),  # the public key as a secret
        signed(SECRET, "HS256"),
    ):
        with pytest.raises(Unauthenticated):
            await door.user_of([f"Bearer {wrong}"])
    assert served.visits <= 2


async def test_a_secret_and_a_jwks_each_check_their_own_kind(keys: tuple[Keys, str], tmp_path: Path) -> None:
    door = Authenticator(settings_of(tmp_path, JWT_JWKS_URL=keys[1]))
    assert await door.user_of([f"Bearer {signed()}"]) == "ada"
    assert await door.user_of([f"Bearer {signed(EC, 'ES256', {'kid': 'ec'})}"]) == "ada"


async def test_keys_that_cannot_be_had_are_our_outage_and_hold_nobody_up(
    keys: tuple[Keys, str], tmp_path: Path
) -> None:
    served, url = keys
    served.is_away = True
    door = Authenticator(settings_of(tmp_path, JWT_JWKS_URL=url))
    with pytest.raises(Refused) as refused:
        await door.user_of([f"Bearer {signed(RSA, 'RS256', {'kid': 'rsa'})}"])
    assert (refused.value.status, refused.value.code) == (503, "UNAVAILABLE")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/jwks.json"
        door = Authenticator(settings_of(tmp_path, JWT_JWKS_URL=url), key_seconds=0.5)
        waiting = asyncio.create_task(door.user_of([f"Bearer {signed(RSA, 'RS256', {'kid': 'rsa'})}"]))
        await asyncio.sleep(0)
        assert await door.user_of([f"Bearer {signed()}"]) == "ada"
        assert not waiting.done()
        with pytest.raises(Refused):
            await waiting
