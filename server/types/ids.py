"""Ids as clients write them."""

from uuid import UUID


def uuid_of(text: str) -> UUID | None:
    """The id; None for text that is none, which every operation answers like an id that nobody has."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None  # one spelling: no braces, no urn:
