"""Requests that are answered while they are read, by their bytes: who polls sends the same again, which is not read again.

One memory for the process: behind a proxy one connection carries the polls of many. What is remembered is how a request
is answered, never an answer: whatever may have changed since is looked at each time.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from server.answers import Reply

#: Gives the reply to one request, each time that it is sent; None where that takes waiting now.
Poll = Callable[[], Reply | None]
#: A GET's target and its headers, each of which it has once → what answers it; None where nothing can without waiting.
Read = Callable[[bytes, Mapping[bytes, bytes]], Poll | None]

MOST_BYTES = 32 * 1024 * 1024  #: of all polls
_LONGEST = 8 * 1024  # of a request
_OVERHEAD = 1_024  # bytes of a poll beside what it is asked


class Polls:
    """What this process remembers, the earliest going first."""

    def __init__(self, read: Read, *, most_bytes: int = MOST_BYTES) -> None:
        """`read` makes the poll of a request that is not remembered."""
        self.read = read
        self._most = most_bytes
        self._polls: OrderedDict[bytes, Poll] = OrderedDict()
        self.bytes = 0  #: that all polls take

    def known(self, request: bytes) -> Poll | None:
        """The poll of just these bytes."""
        return self._polls.get(request) if len(request) <= _LONGEST else None

    def keep(self, request: bytes, poll: Poll) -> None:
        """Remember the poll of `request`, which has to be one whole request and nothing else."""
        if len(request) > _LONGEST or request in self._polls:
            return
        self._polls[request] = poll
        self.bytes += _size(request)
        while self.bytes > self._most:
            oldest, _ = self._polls.popitem(last=False)
            self.bytes -= _size(oldest)


def _size(request: bytes) -> int:
    return _OVERHEAD + 2 * len(request)  # the poll has parts of it
