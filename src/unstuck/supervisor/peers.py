"""The other workers and the supervisor, as a worker sees them; see ``unstuck.server.peers.Peers``."""

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from unstuck.core.models import ModelConfig
from unstuck.monitor.families import Family
from unstuck.supervisor import messages
from unstuck.supervisor.link import Link
from unstuck.supervisor.messages import Configuration, OperatorsWish
from unstuck.supervisor.process import WORKER
from unstuck.supervisor.turns import LoadTurn

ASK_S = 5.0  # for the supervisor to collect metrics or statuses


class ConnectedPeers:
    """Thread-safe; ``start`` once.

    Attributes:
        number: this worker's, from 1 on.
        count: how many there are.
        ports: that all of them listen on: of REST and of gRPC, 0 for none.
        configuration: what is in force.
        is_proven: whether others serve, or have served, with it.
        listens_at_once: whether this one takes calls before it has loaded, as no other does.
        load_turn: held while something is loaded.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._link = Link(connection)
        hello = self._link.hello()
        self.number: int = hello["number"]
        self.count: int = hello["workers"]
        self.ports: tuple[int, int] = hello["rest_port"], hello["grpc_port"]
        self.configuration: Configuration = hello["configuration"]
        self.is_proven: bool = hello["is_proven"]
        self.listens_at_once: bool = hello["listens_at_once"]
        self.load_turn = LoadTurn(lambda: self._link.ask("load"), lambda: self._link.tell("loaded"))
        self._answers: dict[str, Callable[[Any], Any]] = {}

    def answer(
        self,
        families: Callable[[], Sequence[Family]],
        document: Callable[[], Mapping[str, Any]],
        change: Callable[[Configuration], None],
        quarantine: Callable[[Sequence[OperatorsWish]], None],
    ) -> None:
        """What this worker says of itself: its metrics, its status; and how it does what operators wish."""
        self._answers = {
            "metrics": lambda _: messages.families_as_json(families()),
            "status": lambda _: document(),
            "change": change,
            "quarantine": quarantine,
        }

    def start(self, lost: Callable[[], None]) -> None:
        """Answers the supervisor from now on; ``lost`` hears on another thread that it is gone."""
        self._link.start(self._answers, lost)

    def tell(self, what: str, value: object = None) -> None:
        self._link.tell(what, value)

    def may_serve(self) -> None:
        """Returns once this worker has what is in force. Raises UnstuckError where it cannot have it."""
        self._link.ask("serve")

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serves these and no others, in every worker. Raises UnstuckError, as ``Catalogue.reload`` does."""
        self._link.ask("change", {"models": messages.models_as_text(models)})

    def quarantine(self, wish: OperatorsWish) -> None:
        """Has a version taken out of service, or back into it, in every worker. Raises UnstuckError."""
        self._link.ask("quarantine", wish)

    def models_in(self, configuration: Configuration) -> Sequence[ModelConfig]:
        """Those of a reload."""
        return messages.models_from_text(configuration["models"])

    def families(self) -> Iterable[Family]:
        """The metrics of all workers."""
        return messages.families_from_json(self._link.ask("metrics", timeout_s=ASK_S))

    def document(self) -> Mapping[str, Any]:
        """The status of the whole server."""
        return cast("Mapping[str, Any]", self._link.ask("status", timeout_s=ASK_S))


def peers_of_this_process() -> ConnectedPeers | None:
    """None where this process is no worker."""
    descriptor = os.environ.pop(WORKER, "")  # what this process starts is none
    return ConnectedPeers(socket.socket(fileno=int(descriptor))) if descriptor else None
