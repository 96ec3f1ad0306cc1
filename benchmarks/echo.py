"""The floor for the REST benchmark: our listener, an application that reads the body and answers a constant."""

import asyncio
import sys

import uvloop

from unstuck.api.rest.listener import RestListener
from unstuck.api.rest.messages import JSON


class Echo:
    """Answers ``size`` bytes to every request, once it has read the body."""

    def __init__(self, size: int) -> None:
        self._body = b"x" * size

    def begin(self, scope, exchange) -> bool:
        return False

    def refuse_late_bodies(self) -> None: ...

    async def __rsgi__(self, scope, exchange) -> None:
        await exchange()
        exchange.response_bytes(200, [JSON], self._body)


async def _serve(port: int, size: int) -> None:
    RestListener("127.0.0.1", port).start(Echo(size))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
