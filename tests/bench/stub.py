"""A cluster that costs next to nothing: `python -m tests.bench.stub PORT [SECONDS]`, each answer after so many seconds.

A status is one line of bytes, with a step that grows by the clock, so that every look brings a new point. SIGUSR1 makes
it hang: it takes requests and answers none. SIGUSR2 makes it well again.
"""

import asyncio
import signal
import sys
import time
from typing import cast

import uvloop

_BODY = (
    b'{"status":"running","progress":42.13,"current_epoch":2,"current_step":%d,"total_steps":2000000,"stage":"training",'
    b'"metrics":{"training_loss":1.2345678,"validation_loss":1.3456789,"learning_rate":0.00019876,'
    b'"gradient_norm":0.8765432,"throughput":3245.678,"gpu_utilization":93.21},"error_message":null}'
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class _Stub(asyncio.Protocol):
    hangs = False
    seconds = 0.0
    began = time.monotonic()

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own is not of that class

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")  # none has a body
        for _ in requests:
            if not self.hangs:
                self._answer()

    def _answer(self) -> None:
        body = _BODY % int((time.monotonic() - self.began) * 50)
        answer = _HEAD % len(body) + body
        if self.seconds:
            asyncio.get_running_loop().call_later(self.seconds, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _hang(hangs: bool) -> None:
    _Stub.hangs = hangs


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, _hang, True)
    loop.add_signal_handler(signal.SIGUSR2, _hang, False)
    server = await loop.create_server(_Stub, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    _Stub.seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    uvloop.run(_serve(int(sys.argv[1])))
