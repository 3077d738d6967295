"""Who a user is: the text that a token's `sub` gives, and a folder's name in every bucket."""

import re

_USER_ID = re.compile(r"[A-Za-z0-9._@|:-]{1,128}")


def is_user_id(text: str) -> bool:
    """Whether `text` can be a user's id; `.` and `..` are no names of folders."""
    return _USER_ID.fullmatch(text) is not None and text not in (".", "..")
