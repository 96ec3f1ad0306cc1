"""A worker's end of its connection to the supervisor."""

import itertools
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from unstuck.supervisor import messages
from unstuck.supervisor.messages import Message

log = logging.getLogger(__name__)

Answers = Mapping[str, Callable[[Any], Any]]


class Link:
    """Thread-safe; ``start`` once. Each question of the supervisor's is answered on a thread of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._is_lost = False

    def hello(self) -> Any:
        """The first thing that the supervisor says; before ``start``."""
        return json.loads(self._lines.readline())["with"]

    def start(self, answers: Answers, lost: Callable[[], None]) -> None:
        """Listens from now on.

        Args:
            answers: what is done with each kind of question.
            lost: is called once the supervisor is gone, on another thread.
        """
        threading.Thread(target=self._listen, args=(answers, lost), name="unstuck-link", daemon=True).start()

    def tell(self, what: str, value: object = None) -> None:
        self._send(messages.told(what, value))

    def ask(self, what: str, value: object = None, timeout_s: float | None = None) -> Any:
        """The supervisor's answer. Raises UnstuckError: its error, or that it is gone; TimeoutError."""
        number = next(self._numbers)
        answer: Future[Any] = Future()
        self._waiting[number] = answer
        try:
            self._send(messages.asked(number, what, value))
            if self._is_lost:
                raise messages.gone()
            return answer.result(timeout_s)
        finally:
            self._waiting.pop(number, None)

    def _send(self, line: bytes) -> None:
        try:
            with self._sending:
                self._connection.sendall(line)
        except OSError:  # the supervisor is gone, which the listening thread hears of
            log.debug("not sent", exc_info=True)

    def _listen(self, answers: Answers, lost: Callable[[], None]) -> None:
        try:
            while line := self._lines.readline():
                self._hear(json.loads(line), answers)
        except OSError:
            log.debug("The connection failed", exc_info=True)
        self._is_lost = True
        for waiting in list(self._waiting.values()):
            waiting.set_exception(messages.gone())
        lost()

    def _hear(self, message: Message, answers: Answers) -> None:
        if "ask" in message:
            threading.Thread(target=self._answer, args=(message, answers), name="unstuck-answer", daemon=True).start()
        elif waiting := self._waiting.pop(message["answer"], None):
            error = messages.error_in(message)
            waiting.set_exception(error) if error else waiting.set_result(message["is"])

    def _answer(self, message: Message, answers: Answers) -> None:
        number = message["ask"]
        try:
            line = messages.answered(number, answers[message["what"]](message["with"]))
        except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor must hear of it
            line = messages.failed(number, error)
        self._send(line)
