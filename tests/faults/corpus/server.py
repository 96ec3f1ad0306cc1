"""Servers of TensorFlow Serving's protocol, over REST and gRPC, that a case may break in the ways of live servers.

``with rest({1: folder}, Hooks(before=swap)) as target:`` serves until the block ends; ``grpc`` likewise.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.served import Refused, ServedModel, Tensors

Forward = Callable[[], tuple[int, bytes]]
Reply = tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]]


@dataclass(frozen=True)
class Call:
    """A predict call inside the server.

    Attributes:
        version: that answers it, after ``Hooks.route``.
        signature: the signature's name, "" for the default one.
        number: how many calls came before.
        active: how many calls are in the server, this one included.
    """

    version: int
    signature: str
    number: int
    active: int


@dataclass(frozen=True)
class Hooks:
    """Where a server can be broken. What is not set does no harm.

    Attributes:
        route: (version asked for or None, signature) -> (version, signature) that answers; None is the newest.
        before: the bound tensors -> what the model gets.
        around: (call, answer) -> the outputs: ``answer()`` runs the model; may wait, raise Refused, or mix up calls.
        after: (outputs, bound tensors) -> what is sent.
        proxy: (path, body, forward) -> (HTTP status, body), or (HTTP status, body, headers); of REST alone.
            ``forward()`` asks the server behind it.
        states: by version, the state that status reports; AVAILABLE where nothing is said.
        failures: by version, the error code and message that status reports; OK where nothing is said.
        pages: by path, what a GET of it answers besides the API; of REST alone.
    """

    route: Callable[[int | None, str], tuple[int | None, str]] = lambda version, signature: (version, signature)
    before: Callable[[Tensors], Tensors] = lambda inputs: inputs
    around: Callable[[Call, Callable[[], Tensors]], Tensors] = lambda call, answer: answer()
    after: Callable[[Tensors, Tensors], Tensors] = lambda outputs, inputs: outputs
    proxy: Callable[[str, bytes, Forward], Reply] = lambda path, body, forward: forward()
    states: Mapping[int, str] = field(default_factory=dict[int, str])
    failures: Mapping[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    pages: Mapping[str, str] = field(default_factory=dict[str, str])


class Servable:
    """The versions of one model behind the hooks, whatever the protocol."""

    def __init__(self, name: str, versions: Mapping[int, ServedModel], hooks: Hooks) -> None:
        self.name, self.versions, self.hooks = name, versions, hooks
        self._lock = threading.Lock()
        self._calls = self._active = 0

    def version(self, name: str, asked: int | None) -> int:
        """The version that a path means. Raises Refused (404) for one that is not served."""
        available = [v for v in self.versions if self.hooks.states.get(v, "AVAILABLE") == "AVAILABLE"]
        if name != self.name or (asked is not None and asked not in available) or not available:
            label = "Latest" if asked is None else str(asked)
            raise Refused(f"Servable not found for request: {label}({name})", 404, "NOT_FOUND")
        return max(available) if asked is None else asked

    def predict(
        self, name: str, asked: int | None, signature: str, bind: Callable[[ServedModel], Tensors]
    ) -> tuple[int, Tensors]:
        """The version that answered, and its outputs."""
        hooks = self.hooks
        self.version(name, asked)
        asked, signature = hooks.route(asked, signature)
        version = max(self.versions) if asked is None else asked
        model = self.versions[version]
        with self._lock:
            number, self._calls, self._active = self._calls, self._calls + 1, self._active + 1
            call = Call(version, signature, number, self._active)
        try:
            bound = bind(model)
            outputs = hooks.around(call, lambda: model.run(hooks.before(dict(bound)), signature))
            return version, hooks.after(dict(outputs), bound)
        finally:
            with self._lock:
                self._active -= 1

    def states(self, name: str, asked: int | None) -> dict[int, str]:
        """The states of the versions asked for, newest first."""
        if name != self.name or (asked is not None and asked not in self.versions):
            raise Refused(f"Could not find any versions of model {name}", 404, "NOT_FOUND")
        wanted = sorted(self.versions, reverse=True) if asked is None else [asked]
        return {version: self.hooks.states.get(version, "AVAILABLE") for version in wanted}


@contextmanager
def rest(
    versions: Mapping[int, Path], hooks: Hooks | None = None, *, name: str = "model", path: str = ""
) -> Iterator[str]:
    """Serves over REST; gives the TARGET URL, to which ``path`` ("/versions/2") is appended."""
    from corpus.rest_api import listen

    with _servable(versions, hooks, name) as servable, listen(servable) as address:
        yield f"http://{address}/v1/models/{name}{path}"


@contextmanager
def grpc(
    versions: Mapping[int, Path], hooks: Hooks | None = None, *, name: str = "model", path: str = ""
) -> Iterator[str]:
    """Serves over gRPC; gives the TARGET URL."""
    from corpus.grpc_api import listen

    with _servable(versions, hooks, name) as servable, listen(servable) as address:
        yield f"grpc://{address}/{name}{path}"


@contextmanager
def _servable(versions: Mapping[int, Path], hooks: Hooks | None, name: str) -> Iterator[Servable]:
    with ExitStack() as stack:
        loaded: dict[int, Any] = {v: stack.enter_context(ServedModel(folder)) for v, folder in versions.items()}
        yield Servable(name, loaded, hooks or Hooks())
