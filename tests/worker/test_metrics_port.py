"""Where a worker gives out its numbers, and that it says so when it cannot."""

import socket

import aiohttp

from tests.services import ValkeyServer
from tests.services.process import accepts_tcp, free_port
from tests.worker.process import worker


async def test_a_worker_gives_out_its_numbers_where_it_is_told(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    port = free_port()
    with worker(valkey_server.url, every=0.3, WORKER_METRICS_PORT=str(port)) as process:
        await process.until("ended", 2)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
        done = next(line for line in lines if line.startswith('lora_pipeline_passes_total{how="done"}'))
        assert float(done.split()[-1]) >= 1
        assert 'lora_pipeline_submit_attempts_total{which="first"} 0.0' in lines
        assert "lora_pipeline_lost_claims_total 0.0" in lines
        process.popen.terminate()
        assert await process.exit_code() == 0
        assert not accepts_tcp(port)


async def test_a_port_that_is_taken_is_named(valkey_server: ValkeyServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with worker(valkey_server.url, WORKER_METRICS_PORT=str(port)) as process:
            assert await process.exit_code() == 1
            said = f"WORKER_METRICS_PORT: 127.0.0.1:{port} cannot be listened on: the port is taken."
            assert said in process.log
            assert "Traceback" not in process.log
