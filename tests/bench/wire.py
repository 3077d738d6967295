"""One request and the bytes of its answer, headers and all, as they come from the wire."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came."""

    head: bytes
    body: bytes

    @property
    def size(self) -> int:
        """All of its bytes."""
        return len(self.head) + len(self.body)

    @property
    def status(self) -> int:
        """Its status code."""
        return int(self.head.split(b" ", 2)[1])

    def header(self, name: str) -> str | None:
        """One of its headers."""
        for line in self.head.decode("latin-1").split("\r\n"):
            if line.lower().startswith(f"{name.lower()}: "):
                return line.partition(": ")[2]
        return None


class Wire:
    """A connection that stays open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self._rest = b""

    def ask(self, request: bytes) -> Answer:
        """Send it and read what comes back."""
        self._socket.sendall(request)
        while b"\r\n\r\n" not in self._rest:
            self._receive()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        answer = Answer(head + b"\r\n\r\n", b"")
        length = 0 if answer.status == 304 else int(answer.header("content-length") or 0)
        while len(self._rest) < length:
            self._receive()
        body, self._rest = self._rest[:length], self._rest[length:]
        return Answer(answer.head, body)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _receive(self) -> None:
        received = self._socket.recv(1 << 20)
        if not received:
            raise ConnectionError("the server hung up")
        self._rest += received
