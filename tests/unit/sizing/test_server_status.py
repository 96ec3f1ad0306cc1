"""What is read of a measured server's /statusz."""

from io import BytesIO
from typing import Any

import orjson
import pytest

from unstuck.errors import SetupError
from unstuck.sizing import server_status
from unstuck.sizing.deciding import Batch
from unstuck.sizing.server_status import ServerStatus


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch):
    """Has the server say, one after another, what a test wants; the last again and again."""

    def say(*documents: Any) -> ServerStatus:
        left = list(documents)

        def urlopen(url: str, timeout: float) -> BytesIO:
            assert url == "http://127.0.0.1:1/statusz"
            return BytesIO(orjson.dumps(left.pop(0) if len(left) > 1 else left[0]))

        monkeypatch.setattr(server_status.urllib.request, "urlopen", urlopen)
        monkeypatch.setattr(server_status, "LOOK_S", 0.0)
        return ServerStatus("http://127.0.0.1:1")

    return say


def version(**more: Any) -> Any:
    return {"state": "AVAILABLE", "error": "", "signatures": {"serving_default": {"learned_batch": None}}, **more}


def models(**versions: Any) -> Any:
    return {"models": {name: {"problem": "", "versions": {"1": each}} for name, each in versions.items()}}


def test_what_a_load_took(says) -> None:
    status = says(models(model=version(memory_growth_bytes=400), second=version(memory_growth_bytes=30)))
    assert (status.growth_bytes("second"), status.growth_bytes("third")) == (30, 0)


def test_what_was_learned(says) -> None:
    learned = {"serving_default": {"learned_batch": {"rows": 16, "gain": 2.5}}, "other": {"learned_batch": None}}
    status = says(models(model=version(signatures=learned)))
    assert status.learned_batch("model", "") == Batch(16, 2.5)
    assert status.learned_batch("model", "other") is None
    assert status.learned_batch("model", "third") is None


def test_a_copy_that_does_not_serve_is_an_error(says) -> None:
    says(models(model=version(), second=version())).check()
    with pytest.raises(SetupError, match="needs 612 MiB"):
        says(models(model=version(), second=version(state="END", error="needs 612 MiB"))).check()
    nothing = {"models": {"second": {"problem": "no versions", "versions": {}}}}
    with pytest.raises(SetupError, match="no versions"):
        says(nothing).check()


def test_all_workers_are_waited_for(says) -> None:
    def workers(*states: str) -> Any:
        return {"server": {"workers": [{"state": each} for each in states]}}

    status = says(workers("serving", "waiting"), workers("serving", "loading"), workers("serving", "serving"))
    status.wait_for_workers(2)
    assert says({"server": {}}).wait_for_workers(0) is None


def test_workers_that_never_serve_are_an_error(says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_status, "ALL_SERVE_S", -1.0)
    with pytest.raises(SetupError, match="Not all of 2 workers serve"):
        says({"server": {"workers": [{"state": "serving"}]}}).wait_for_workers(2)


def test_a_server_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(url: str, timeout: float) -> BytesIO:
        raise ConnectionRefusedError("gone")

    monkeypatch.setattr(server_status.urllib.request, "urlopen", urlopen)
    with pytest.raises(SetupError, match="gone"):
        ServerStatus("http://127.0.0.1:1").check()
