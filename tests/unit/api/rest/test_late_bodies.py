"""Small calls whose bodies do not come in time; and which routes are remembered for them."""

import asyncio
import json

import pytest
from fakes import CallRecorder, FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.api.rest import app as rest_app
from unstuck.api.rest.app import RestApp, RestOptions
from unstuck.batching.fair import FairThreads
from unstuck.core.dtypes import FLOAT
from unstuck.errors import BodyTooSlow

PREDICT = "/v1/models/m:predict"
ROW = b'{"instances": [[1]]}'
SIGNATURES = {"serving_default": signature(spec("x", FLOAT, (None, 1)), outputs=(spec("y", FLOAT, (None, 1)),))}


class Request:
    """One whose body comes when ``arrive`` is called."""

    def __init__(self):
        self.method, self.path = "POST", PREDICT
        self.headers = {"content-length": str(len(ROW))}
        self.answers = []
        self._body = asyncio.get_running_loop().create_future()

    def __call__(self):
        return self._body

    async def arrive(self):
        self._body.set_result(ROW)
        await asyncio.sleep(0.05)

    def response_bytes(self, status, headers, body):
        self.answers.append((status, dict(headers), json.loads(body)))


class Models(FakeModels):
    ready = True

    def statuses(self):
        return {"m": []}


def run(work, timeout_s=0.01):
    """``await work(app, observer)`` on a loop of its own."""

    async def within():
        observer = CallRecorder(False)
        models = Models({"m": FakeModel(FakeServable(lambda inputs: {"y": inputs["x"]}, SIGNATURES))})
        with FairThreads(2) as workers:
            options = RestOptions(None, False, 100, False, body_timeout_s=timeout_s)
            app = RestApp(models, workers, options, observer=observer)
            app._parse_route("POST", PREDICT)
            await work(app, observer)

    asyncio.run(within())


def test_a_late_body_is_answered_once_and_its_connection_closed():
    async def work(app, observer):
        late, good = Request(), Request()
        assert app.begin(late, late)
        app.refuse_late_bodies()
        assert not late.answers, "it has some time"
        await asyncio.sleep(0.05)
        assert app.begin(good, good)
        app.refuse_late_bodies()
        ((status, headers, body),) = late.answers
        assert (status, headers["connection"]) == (408, "close")
        assert "did not arrive within" in body["error"]
        await late.arrive()
        assert len(late.answers) == 1
        await good.arrive()
        assert good.answers[0][::2] == (200, {"predictions": [[1.0]]})
        assert isinstance(observer.heard[0].error, BodyTooSlow)
        assert not app._arriving

    run(work)


def test_a_client_that_leaves_is_remembered_no_longer():
    async def work(app, _):
        gone = Request()
        assert app.begin(gone, gone)
        gone._body.set_exception(ConnectionResetError())
        await asyncio.sleep(0)
        assert not app._arriving
        app.refuse_late_bodies()
        assert not gone.answers

    run(work)


def test_without_a_timeout_nobody_is_late():
    async def work(app, _):
        late = Request()
        assert app.begin(late, late)
        await asyncio.sleep(0.02)
        app.refuse_late_bodies()
        assert not late.answers
        await late.arrive()

    run(work, timeout_s=None)


def test_nonsense_does_not_fill_the_memory_of_routes(monkeypatch):
    monkeypatch.setattr(rest_app, "CACHED_ROUTES", 3)

    async def work(app, _):
        for number in range(10):
            app._parse_route("POST", f"/v1/models/nonsense{number}:predict")
        app._parse_route("POST", f"/v1/models/{'n' * 600}:predict")
        assert len(app._routes) == 3
        app._parse_route("POST", PREDICT)
        assert ("POST", PREDICT) in app._routes

    run(work)


@pytest.mark.parametrize("path", ["/" + "x" * 10_000, "/a\x1b[31m\n"])
def test_a_path_is_told_back_cut_and_on_one_line(path):
    async def work(app, _):
        request = Request()
        request.method, request.path = "GET", path
        await app.__rsgi__(request, request)
        status, _, body = request.answers[0]
        assert status == 404
        assert len(body["error"]) < 500
        assert body["error"].isprintable()

    run(work)
