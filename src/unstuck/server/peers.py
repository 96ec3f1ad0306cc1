"""What a server asks of the other processes that serve on its ports, where there are any."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from unstuck.core.models import ModelConfig
from unstuck.monitor.families import Family

OperatorsWish = dict[str, Any]  # "model", "version", and "reason": why it is to be in quarantine; None where it is not
Configuration = dict[str, str]  # empty: what the command line says; "text": of a file; else of a reload


class Peers(Protocol):
    """Thread-safe; see ``unstuck.supervisor.peers``, which has them."""

    @property
    def number(self) -> int: ...

    @property
    def count(self) -> int: ...

    @property
    def ports(self) -> tuple[int, int]: ...

    @property
    def configuration(self) -> Configuration: ...

    @property
    def is_proven(self) -> bool: ...

    @property
    def load_turn(self) -> Callable[[], AbstractContextManager[None]]: ...

    def answer(
        self,
        families: Callable[[], Sequence[Family]],
        document: Callable[[], Mapping[str, Any]],
        change: Callable[[Configuration], None],
        quarantine: Callable[[Sequence[OperatorsWish]], None],
    ) -> None: ...

    def reload(self, models: Sequence[ModelConfig]) -> None: ...

    def quarantine(self, wish: OperatorsWish) -> None: ...

    def models_in(self, configuration: Configuration) -> Sequence[ModelConfig]: ...

    def families(self) -> Iterable[Family]: ...

    def document(self) -> Mapping[str, Any]: ...
