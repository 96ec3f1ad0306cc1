"""A worker's process as the supervisor holds it: started, asked, listened to, killed."""

import asyncio
import itertools
import json
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from unstuck.errors import UnstuckError
from unstuck.supervisor import messages
from unstuck.supervisor.messages import LONGEST_LINE, Message

WORKER = "UNSTUCK_WORKER"  # in a worker's environment: the descriptor of its connection
KEPT_LINES = 20
MOST_CHARACTERS = 500  # of a line that is kept
LAST_WORDS_S = 1.0

OnLine = Callable[[str], None]


class Heard(Protocol):
    """Who is told what a worker says."""

    def told(self, what: str, value: Any) -> None: ...

    async def asked(self, what: str, value: Any) -> Any: ...


class WorkerProcess:
    """One run of one worker. Belongs to the loop; ``start`` once.

    Attributes:
        pid: of the process.
        last_words: the last lines that it wrote to stderr.
    """

    def __init__(self, heard: Heard, on_line: OnLine) -> None:
        """Starts nothing yet.

        Args:
            heard: is told and asked what it says.
            on_line: is given each line of its stderr.
        """
        self._heard = heard
        self._on_line = on_line
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._has_ended = False
        self.pid = 0
        self.last_words: deque[str] = deque(maxlen=KEPT_LINES)

    async def start(self, command: Sequence[str]) -> None:
        """Runs ``command`` in a process group of its own, so that a terminal's Ctrl-C reaches the supervisor alone."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, WORKER: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                process_group=0,
            )
        self.pid = self._process.pid
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        self._listening = asyncio.create_task(self._listen(reader))
        self._reading = asyncio.create_task(self._read_stderr())

    async def until_ends(self) -> int:
        """Its status; whoever still waits for an answer is told that it is gone."""
        status = await self._process.wait()
        self._has_ended = True
        await asyncio.wait({self._reading}, timeout=LAST_WORDS_S)  # a child of its own may keep the pipe open
        for task in (self._reading, self._listening, *self._tasks):
            task.cancel()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(messages.gone())
        self._writer.close()
        return status

    def send_signal(self, number: int) -> None:
        """To a process that may just have ended."""
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return

    def tell(self, what: str, value: object = None) -> None:
        self._writer.write(messages.told(what, value))

    async def ask(self, what: str, value: object = None) -> Any:
        """Its answer. Raises UnstuckError: its error, or that it is gone."""
        if self._has_ended:
            raise messages.gone()
        number = next(self._numbers)
        self._waiting[number] = answer = asyncio.get_running_loop().create_future()
        self._writer.write(messages.asked(number, what, value))
        try:
            return await answer
        finally:
            del self._waiting[number]

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        except OSError:  # it was killed with something unread; until_ends says how
            return

    def _hear(self, message: Message) -> None:
        if "tell" in message:
            self._heard.told(message["tell"], message["with"])
        elif "ask" in message:
            self._spawn(self._answer(message))
        elif (waiting := self._waiting.get(message["answer"])) and not waiting.done():
            error = messages.error_in(message)
            waiting.set_exception(error) if error else waiting.set_result(message["is"])

    async def _answer(self, message: Message) -> None:
        try:
            line = messages.answered(message["ask"], await self._heard.asked(message["what"], message["with"]))
        except UnstuckError as error:
            line = messages.failed(message["ask"], error)
        self._writer.write(line)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def _read_stderr(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        while line := await stream.readline():
            text = line.decode(errors="replace").rstrip("\n")
            self.last_words.append(text[:MOST_CHARACTERS])
            self._on_line(text)
