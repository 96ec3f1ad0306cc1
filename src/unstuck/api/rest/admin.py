"""What an operator may do over REST while the server runs: take a version out of service, and have it back.

    POST /v1/admin/models/NAME/versions/N:quarantine     {"reason": "…"}
    POST /v1/admin/models/NAME/versions/N:release

TensorFlow Serving's API has no path under ``/v1/admin/``.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Protocol, cast

import orjson

from unstuck.api.rest import messages
from unstuck.api.rest.messages import BodyLimits, Exchange, Response, Scope
from unstuck.api.rest.paths import MAX_VERSION_DIGITS
from unstuck.errors import InvalidRequest, MalformedBody, cut, printable
from unstuck.guard.access import Access

PREFIX = "/v1/admin/"
BODY_LIMITS = BodyLimits(64 * 1024, timeout_s=30)
MOST_CHARACTERS = 500  # of a reason
_PATH = re.compile(rf"/v1/admin/models/(.+)/versions/([0-9]{{1,{MAX_VERSION_DIGITS}}}):(quarantine|release)", re.DOTALL)


class CallersScope(Scope, Protocol):
    """With the address of whoever calls."""

    @property
    def client(self) -> str: ...


class Operator(Protocol):
    """Does what is asked, in every process of the server. Blocks; called on threads. Raises UnstuckError."""

    def quarantine(self, name: str, version: int, reason: str) -> None: ...

    def release(self, name: str, version: int) -> None: ...


@dataclass(frozen=True, slots=True)
class AdminCalls:
    """Answers calls under ``PREFIX``; who may make them is ``access``'s to say."""

    operator: Operator
    access: Access

    async def answer(self, scope: CallersScope, exchange: Exchange) -> Response:
        """The response to one call. Does not raise."""
        try:
            return await self._answer(scope, exchange)
        except Exception as error:  # noqa: BLE001 - the last seam: no request may go unanswered
            return messages.of_failure(error)

    async def _answer(self, scope: CallersScope, exchange: Exchange) -> Response:
        match = _PATH.fullmatch(scope.path)
        if match is None or scope.method != "POST":
            raise InvalidRequest(
                f"Malformed request: {scope.method} {printable(cut(scope.path))}.",
                hint=f"Expected POST {PREFIX}models/NAME/versions/N:quarantine or :release.",
            )
        name, version, verb = match[1], int(match[2]), match[3]
        self.access.check_admin(scope.headers, scope.client, f"POST {PREFIX}…:{verb}", name)
        if verb == "release":
            await asyncio.to_thread(self.operator.release, name, version)
        else:
            reason = _reason(await messages.read_body(exchange, scope.headers, BODY_LIMITS))
            await asyncio.to_thread(self.operator.quarantine, name, version, reason)
        done = {"model": name, "version": version, "quarantined": verb == "quarantine"}
        return Response(200, orjson.dumps(done))


def _reason(body: bytes) -> str:
    """One line of printable text. Raises MalformedBody."""
    try:
        document: object = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f'Expected {{"reason": "…"}}, got what is not JSON: {error}.') from None
    given = cast("dict[str, Any]", document).get("reason", "") if isinstance(document, dict) else None
    if not isinstance(given, str):
        raise MalformedBody('Expected {"reason": "…"}, with a text.')
    return printable(cut(" ".join(given.split()), MOST_CHARACTERS)) or "no reason was given"
