import logging

import pytest

from unstuck.monitor import constant_log
from unstuck.monitor.constant_log import ConstantLog, diagnose_command
from unstuck.monitor.diversity import Constant
from unstuck.monitor.events import EventHistory

FOUND = Constant(31, "the same answer", 0.0)
TARGET = "http://localhost:8501/v1/models/m/versions/1"


@pytest.fixture
def history():
    return EventHistory()


@pytest.fixture
def told(history):
    return ConstantLog(history, lambda name, version: f"http://localhost:8501/v1/models/{name}/versions/{version}")


def lines(caplog):
    return [(record.levelname, record.message) for record in caplog.records]


def test_says_what_to_type(told, history, caplog):
    with caplog.at_level(logging.INFO, logger="unstuck.versions"):
        told("m", 1, "serving_default", FOUND)
        told("m", 1, "serving_default", None)
    about = "Model 'm' version 1, signature 'serving_default'"
    why = f"31 varied inputs in a row got the same answer; find out why: unstuck diagnose {TARGET}"
    assert lines(caplog) == [("WARNING", f"{about}: {why}"), ("INFO", f"{about}: answers vary again")]
    assert [(each.what, each.error) for each in history.latest()] == [
        ("signature 'serving_default': constant answers", why),
        ("signature 'serving_default': answers vary again", ""),
    ]


def test_says_it_once_a_minute_of_each_signature(told, history, caplog, monkeypatch):
    with caplog.at_level(logging.INFO, logger="unstuck.versions"):
        for _ in range(5):
            told("m", 1, "serving_default", FOUND)
            told("m", 1, "serving_default", None)
        told("m", 1, "other", FOUND)
        told("m", 2, "serving_default", FOUND)
        assert [level for level, _ in lines(caplog)] == ["WARNING", "INFO", "WARNING", "WARNING"]
        assert len(history.latest()) == 12
        now = constant_log.time.monotonic()
        monkeypatch.setattr(constant_log.time, "monotonic", lambda: now + constant_log.PAUSE_S + 1)
        told("m", 1, "serving_default", FOUND)
    assert [level for level, _ in lines(caplog)] == ["WARNING", "INFO", "WARNING", "WARNING", "WARNING"]


@pytest.mark.parametrize(
    ("signature", "path", "command"),
    [
        ("serving_default", "", f"unstuck diagnose {TARGET}"),
        ("other one", "", f"unstuck diagnose {TARGET} --signature 'other one'"),
        ("serving_default", "/my models/1", f"unstuck diagnose {TARGET} --model '/my models/1'"),
    ],
)
def test_the_command_can_be_pasted(signature, path, command):
    assert diagnose_command(TARGET, signature, path) == command


def test_a_server_without_ports_leaves_the_model_to_be_diagnosed():
    assert diagnose_command("", path="/m/1") == "unstuck diagnose --model /m/1"
