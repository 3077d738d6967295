"""`python -m tests.services.scripted_cluster --port P --control-port C`: a scripted cluster as a process of its own."""

import argparse
import asyncio

from tests.services.scripted_cluster.remote import control
from tests.services.scripted_cluster.server import KEY, Listener, ScriptedCluster


async def serve(port: int, control_port: int, key: str, *, dedupes: bool) -> None:
    """Serve until killed."""
    cluster = ScriptedCluster(key, port=port, dedupes=dedupes)
    await cluster.start()
    await Listener(control(cluster), control_port).come_up()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True, help="where RemoteCluster speaks to it")
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--no-dedupe", action="store_true", help="give a repeated key a second run")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.control_port, given.key, dedupes=not given.no_dedupe))
