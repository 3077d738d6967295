"""Which media type a client wants, by its Accept header and its `q` values (RFC 9110 §12.5.1)."""

from enum import Enum
from functools import lru_cache

from server.replies import Refused


class Media(Enum):
    """What /graphql can answer with."""

    GRAPHQL = "application/graphql-response+json"
    JSON = "application/json"
    HTML = "text/html"

    __hash__ = object.__hash__  # Enum's own is in Python; each answer that is remembered is found by it

    @property
    def content_type(self) -> str:
        """The Content-Type header."""
        return f"{self.value}; charset=utf-8"


_ANSWERS = (Media.JSON, Media.GRAPHQL)  # the first is for clients to which both are the same


@lru_cache(maxsize=256)
def answer_type(accept: str | None) -> Media:
    """The type of a GraphQL answer. Raises `Refused` (406) when the client takes neither."""
    if not accept or not accept.strip():
        return Media.JSON
    wanted = qualities(accept)
    # Named beats matched by a wildcard, and of two that are both named the newer type is meant.
    best = max(
        _ANSWERS,
        key=lambda media: (
            *_quality(media, wanted),
            _quality(media, wanted)[1] == 2 and media is Media.GRAPHQL,
        ),
    )
    if _quality(best, wanted)[0] <= 0:
        raise Refused(
            406, "NOT_ACCEPTABLE", f"This can be answered as {Media.GRAPHQL.value} or {Media.JSON.value}."
        )
    return best


@lru_cache(maxsize=256)
def prefers_html(accept: str | None) -> bool:
    """Whether this is a browser that wants a page: it names text/html and likes nothing of ours better."""
    wanted = qualities(accept or "")
    quality, named = _quality(Media.HTML, wanted)
    return (
        named == 2 and quality > 0 and all((quality, named) > _quality(media, wanted) for media in _ANSWERS)
    )


@lru_cache(maxsize=256)
def is_json(content_type: str | None) -> bool:
    """Whether a body of this type is JSON in UTF-8."""
    kind, *parameters = (content_type or "").split(";")
    if kind.strip().lower() != Media.JSON.value:
        return False
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset" and value.strip('"').lower() not in ("utf-8", "utf8"):
            return False
    return True


def qualities(accept: str) -> dict[str, float]:
    """What an Accept… header names, in small letters, and how much each is wanted: 0 is not at all."""
    found: dict[str, float] = {}
    for entry in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _number(value.strip())
        if kind:
            found[kind] = max(quality, found.get(kind, 0.0))
    return found


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number <= 1 else 0.0


def _quality(media: Media, wanted: dict[str, float]) -> tuple[float, int]:
    """How much it is wanted, and how closely it was named: 2 itself, 1 its family, 0 anything."""
    for closeness, kind in ((2, media.value), (1, media.value.partition("/")[0] + "/*"), (0, "*/*")):
        if kind in wanted:
            return wanted[kind], closeness
    return 0.0, 0
