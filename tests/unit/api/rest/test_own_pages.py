"""Pages of the server's own: health, readiness, those it is given; what else there is where there is none."""

import asyncio
import json

import pytest

from unstuck.api.rest.messages import Response
from unstuck.api.rest.own_pages import OwnPages
from unstuck.core.models import State, VersionStatus
from unstuck.errors import NotFound, Unauthenticated


class Models:
    ready = True

    def statuses(self):
        return {"m": [VersionStatus(1, State.AVAILABLE), VersionStatus(2, State.END, error=NotFound("gone"))]}


class Locked:
    def check(self, headers, right, model):
        if headers.get("x-api-key") != f"{right} of {model}":
            raise Unauthenticated("Who is it?")


class Scope:
    def __init__(self, path, method="GET", **headers):
        self.path, self.method = path, method
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def show(scope):
    return Response(200, json.dumps({"shown": scope.path}).encode())


def fail(_):
    raise RuntimeError("a page that fails")


@pytest.fixture
def pages():
    return OwnPages(Models(), {"/v1/all": show, "/broken": fail}, None)


def answer(pages, *scope, **headers):
    response = asyncio.run(pages.answer(Scope(*scope, **headers)))
    return response.status, json.loads(response.body)


def test_health_and_readiness(pages):
    assert answer(pages, "/healthz") == (200, {"status": "alive"})
    assert answer(pages, "/readyz") == (200, {"status": "ready", "models": {"m": {"1": "AVAILABLE", "2": "END: gone"}}})


@pytest.mark.parametrize(("ready", "draining", "said"), [(False, False, "not ready"), (True, True, "draining")])
def test_whoever_is_not_ready_says_so(pages, monkeypatch, ready, draining, said):
    monkeypatch.setattr(Models, "ready", ready)
    pages.draining = draining
    status, document = answer(pages, "/readyz")
    assert (status, document["status"]) == (503, said)
    assert answer(pages, "/healthz")[0] == 200


def test_only_the_api_is_somebody_elses(pages):
    assert [path for path in ("/v1/all", "/other", "/healthz", "/v1/models/m", "/V1/models/m") if pages.has(path)] == [
        "/v1/all",
        "/other",
        "/healthz",
    ]


def test_pages_are_for_reading(pages):
    assert answer(pages, "/v1/all") == (200, {"shown": "/v1/all"})
    status, document = answer(pages, "/v1/all", "POST")
    assert status == 404
    assert "POST /v1/all" in document["error"]


def test_what_there_is_is_named_where_there_is_nothing(pages):
    status, document = answer(pages, "/nowhere")
    assert status == 404
    assert "/healthz, /readyz, /v1/all, /broken" in document["error"]


def test_a_page_that_fails_is_an_answer(pages):
    assert answer(pages, "/broken")[0] == 500


def test_with_keys_strangers_learn_the_state_and_nothing_of_the_models():
    pages = OwnPages(Models(), {"/v1/all": show}, Locked())
    assert answer(pages, "/readyz") == (200, {"status": "ready"})
    assert answer(pages, "/v1/all")[0] == 401
    assert "models" in answer(pages, "/readyz", x_api_key="status of *")[1]
