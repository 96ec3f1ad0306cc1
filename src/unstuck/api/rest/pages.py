"""Pages of the server's own, made from what others know."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from unstuck.api.rest.messages import Response, Scope
from unstuck.api.rest.own_pages import Page


def metrics_page(render: Callable[[str], tuple[bytes, str]]) -> Page:
    """The page that ``render`` gives for a header ``Accept``, with its content type."""

    def page(scope: Scope) -> Response:
        body, content_type = render(scope.headers.get("accept") or "")
        return Response(200, body, [("content-type", content_type)])

    return page


def json_page(document: Callable[[], Mapping[str, Any]]) -> Page:
    """The page that shows ``document`` as it is when somebody looks."""

    def page(scope: Scope) -> Response:
        del scope
        return Response(200, orjson.dumps(document()))

    return page
