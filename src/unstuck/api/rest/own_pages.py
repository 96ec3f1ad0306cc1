"""What the server says of itself: whether it lives and is ready, and the pages it was given."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import orjson

from unstuck.api.rest import messages
from unstuck.api.rest.messages import Response, Scope
from unstuck.core.models import VersionStatus
from unstuck.errors import NotFound, UnstuckError, shortened
from unstuck.guard.access import ALL_MODELS, Access

Page = Callable[[Scope], Response]  # for GET and HEAD


class Readiness(Protocol):
    """What the models say of themselves."""

    def statuses(self) -> dict[str, list[VersionStatus]]: ...

    @property
    def ready(self) -> bool: ...


class OwnPages:
    """Whatever is not under ``/v1/``. Pages that tell of all models need the right ``status``, where calls need a key.

    Attributes:
        draining: whether the server stops: it is not ready then, whatever the models say.
    """

    def __init__(self, models: Readiness, pages: Mapping[str, Page], access: Access | None) -> None:
        """``pages``: by path; each is made on a thread that is no worker. Without ``access`` anybody sees them."""
        self._models = models
        self._pages = pages
        self._access = access
        self._health: dict[str, Page] = {"/healthz": self._alive, "/readyz": self._readiness}
        self.draining = False

    def has(self, path: str) -> bool:
        """Whether ``answer`` answers it: with a page, or with what there is instead."""
        return path in self._pages or path[:4].lower() != "/v1/"

    async def answer(self, scope: Scope) -> Response:
        """Does not raise."""
        path = scope.path
        if scope.method in ("GET", "HEAD"):
            if path in self._health:
                return self._health[path](scope)
            if path in self._pages:
                if (refused := self._refused(scope)) is not None:
                    return messages.of_failure(refused)
                return await asyncio.to_thread(_made, self._pages[path], scope)
        there_is = ", ".join([*self._health, *self._pages])
        nothing = NotFound(
            f"There is nothing at {scope.method} {shortened(path)}.",
            hint=f"The API is under /v1/models/; besides: {there_is}.",
        )
        return messages.of_failure(nothing)

    def _refused(self, scope: Scope) -> UnstuckError | None:
        """Why a page that tells of all models is not shown; None where it is."""
        try:
            if self._access is not None:
                self._access.check(scope.headers, "status", ALL_MODELS)
        except UnstuckError as error:
            return error
        return None

    def _alive(self, _: Scope) -> Response:
        return Response(200, b'{"status":"alive"}')

    def _readiness(self, scope: Scope) -> Response:
        ready = self._models.ready and not self.draining
        models = {name: _states(statuses) for name, statuses in self._models.statuses().items()}
        state = "ready" if ready else "draining" if self.draining else "not ready"
        said = {"status": state} if self._refused(scope) else {"status": state, "models": models}
        return Response(200 if ready else 503, orjson.dumps(said))


def _made(page: Page, scope: Scope) -> Response:
    try:
        response = page(scope)
    except Exception as error:  # noqa: BLE001 - the last seam: no request may go unanswered
        return messages.of_failure(error)
    return messages.deflate(response) if messages.wants_gzip(scope.headers, response) else response


def _states(statuses: list[VersionStatus]) -> dict[str, str]:
    return {
        str(each.version): f"{each.state.name}: {each.error}" if each.error else each.state.name for each in statuses
    }
