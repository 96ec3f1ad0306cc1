import os
from datetime import datetime
from pathlib import Path

import numpy as np
import orjson
import pytest
from fakes import FakeServable, signature, spec

from unstuck.api.rest.statusz import Addresses, StatusPage, as_time
from unstuck.core.dtypes import FLOAT
from unstuck.core.models import AllVersions, Latest, ModelConfig, RequestLogConfig, Specific, State, VersionStatus
from unstuck.errors import LoadFailed, NotEnoughMemory, NotFound, Quarantined, SetupError
from unstuck.lifecycle.harness import AvailableVersion
from unstuck.monitor.diversity import DiversityMonitor
from unstuck.monitor.events import EventHistory

SIGNATURES = {
    "serving_default": signature(spec("x", FLOAT, (None, 2)), outputs=(spec("y", FLOAT, (None, 1)),)),
    "other": signature(spec("x", FLOAT, (None, 2)), name="other"),
    "init": signature(name="init"),
}
FACTS = {
    "engine": "tensorflow",
    "path": "/models/m/2",
    "load_s": 1.5,
    "why_not_merged": {"serving_default": "", "other": "it has state"},
}


class FakeManager:
    """The versions of ``m``: 1 failed, 2 serves; ``empty`` has none."""

    ready = True

    def __init__(self, watch=None):
        self.labels = {"m": {"stable": 2}}
        servable = FakeServable(lambda inputs: {}, SIGNATURES)
        self.serving = AvailableVersion("m", 2, servable, frozenset({"serving_default"}), watch, (), FACTS)

    def statuses(self):
        return {
            "m": [VersionStatus(2, State.AVAILABLE), VersionStatus(1, State.END, LoadFailed("no such op"))],
            "empty": [],
        }

    def status(self, name, version=None):
        raise NotFound(f"no version of {name}")

    def available(self):
        return [self.serving]


class FakeWatch:
    signature_name = "serving_default"

    @property
    def counts(self):
        return {"x": 3}


def page(manager=None, diversity=None, history=None, plan=None, **more):
    plan = plan or [
        ModelConfig("m", Path("/models/m"), Specific(frozenset({2, 1})), {"stable": 2}, "tensorflow"),
        ModelConfig("empty", Path("/models/empty"), request_log=RequestLogConfig(0.5, filename_prefix="/logs/r")),
    ]
    return StatusPage(
        "1.2.3",
        lambda: Addresses("0.0.0.0", 8501, 8500),
        lambda: plan,
        manager or FakeManager(),
        history or EventHistory(),
        diversity,
        **more,
    )


def test_the_server():
    server = page().document()["server"]
    assert (server["name"], server["version"], server["ready"], server["pid"]) == (
        "unstuck",
        "1.2.3",
        True,
        os.getpid(),
    )
    assert (server["host"], server["rest_port"], server["grpc_port"]) == ("0.0.0.0", 8501, 8500)
    assert server["memory_bytes"] > 1 << 20
    assert 0 <= server["uptime_s"] < 60
    assert datetime.fromisoformat(server["started"]).tzinfo is not None


def test_models_as_configured():
    models = page().document()["models"]
    assert list(models) == ["m", "empty"]
    m, empty = models["m"], models["empty"]
    assert (m["base_path"], m["policy"], m["platform"]) == ("/models/m", {"specific": [1, 2]}, "tensorflow")
    assert (m["labels"], m["request_log"], m["problem"]) == ({"stable": 2}, None, "")
    assert (empty["policy"], empty["problem"], empty["versions"]) == ({"latest": 1}, "no version of empty", {})
    assert empty["request_log"] == {"sampling_rate": 0.5, "collector_type": "", "filename_prefix": "/logs/r"}


def test_policies():
    for choice, shown in ((Latest(3), {"latest": 3}), (AllVersions(), {"all": True})):
        assert page(plan=[ModelConfig("m", Path("/m"), choice)]).document()["models"]["m"]["policy"] == shown


def test_a_model_that_is_on_its_way_out_has_no_base_path():
    assert page(plan=[ModelConfig("empty", Path("/m"))]).document()["models"]["m"]["base_path"] is None


def test_versions():
    history = EventHistory()
    history.version_changed("m", VersionStatus(2, State.AVAILABLE))
    versions = page(FakeManager(FakeWatch()), history=history).document()["models"]["m"]["versions"]
    assert list(versions) == ["1", "2"]
    failed = {"state": "END", "since": None, "error": "no such op", "needs_bytes": None, "quarantined": None}
    assert versions["1"] == failed
    serving = versions["2"]
    assert (serving["state"], serving["error"], serving["engine"], serving["load_s"]) == (
        "AVAILABLE",
        "",
        "tensorflow",
        1.5,
    )
    assert serving["since"] == as_time(history.since("m", 2))
    assert serving["unlike_training"] == {"serving_default": {"x": 3}}
    unknown = {"batching": None, "learned_batch": None, "answers": None}
    assert serving["signatures"] == {
        "serving_default": {"merged": True, "why_not_merged": "", **unknown},
        "other": {"merged": False, "why_not_merged": "it has state", **unknown},
    }
    assert "why_not_merged" not in serving


def test_what_was_learned_of_batches():
    def learned(version, signature):
        return {"rows": version.version, "gain": 2.5} if signature == "other" else None

    signatures = page(learned=learned).document()["models"]["m"]["versions"]["2"]["signatures"]
    found = {name: each["learned_batch"] for name, each in signatures.items()}
    assert found == {"serving_default": None, "other": {"rows": 2, "gain": 2.5}}


def test_what_a_version_without_room_needs():
    manager = FakeManager()
    refused = NotEnoughMemory("it needs 612 MiB.", hint="Raise the limit.", needed=612 << 20)
    manager.statuses = lambda: {"m": [VersionStatus(1, State.END, refused)]}
    shown = page(manager).document()["models"]["m"]["versions"]["1"]
    assert (shown["needs_bytes"], shown["error"]) == (612 << 20, "it needs 612 MiB. Raise the limit.")


def test_the_limits_are_shown():
    limits = page().document()["server"]["limits"]
    assert 0 < limits["memory_left_bytes"] <= limits["memory_limit_bytes"]
    assert limits["cpus"]


def test_a_quarantine():
    why = Quarantined("m", 2, "canary", "expected 3, got 4.")
    manager = FakeManager()
    manager.statuses = lambda: {"m": [VersionStatus(2, State.LOADING, why.after(SetupError("no memory")))]}
    shown = page(manager).document()["models"]["m"]["versions"]["2"]
    assert shown["state"] == "LOADING"
    assert "in quarantine since" in shown["error"]
    assert shown["quarantined"] == {
        "reason": "canary",
        "why": "expected 3, got 4",
        "since": as_time(why.since),
        "attempts": 1,
        "problem": "no memory",
    }


def test_constant_answers_and_what_to_type():
    diversity = DiversityMonitor(lambda *_: None)
    watched = diversity.watch("m", 2, SIGNATURES, str)
    rows = np.random.default_rng(0).normal(size=(40, 2))
    watched.ran(SIGNATURES["serving_default"], {"x": rows}, {"y": np.full((40, 1), 0.5)}, ())
    signatures = page(diversity=diversity).document()["models"]["m"]["versions"]["2"]["signatures"]
    answers = signatures["serving_default"]["answers"]
    assert (answers["flagged"], answers["same"]) == (True, "the same answer")
    assert (answers["distinct_inputs"], answers["distinct_outputs"], answers["inputs_since_change"]) == (40, 1, 40)
    assert datetime.fromisoformat(answers["since"]).tzinfo is not None
    target = "http://localhost:8501/v1/models/m/versions/2"
    assert answers["diagnose"] == f"unstuck diagnose {target} --model /models/m/2"
    other = signatures["other"]["answers"]
    assert (other["flagged"], other["since"], other["diagnose"]) == (False, None, None)


def test_events():
    history = EventHistory()
    history.noticed("m", 1, "something", "why")
    (event,) = page(history=history).document()["events"]
    assert {**event, "time": None} == {"time": None, "model": "m", "version": 1, "what": "something", "error": "why"}
    assert datetime.fromisoformat(event["time"]).tzinfo is not None


def test_the_page_is_json():
    response = page()(None)
    assert (response.status, response.headers) == (200, [("content-type", "application/json")])
    assert orjson.loads(response.body)["schema"] == 1


@pytest.mark.parametrize(
    ("addresses", "target"),
    [
        (Addresses("0.0.0.0", 8501, 8500), "http://localhost:8501/v1/models/a%20b/versions/3"),
        (Addresses("::", 8501, 0), "http://localhost:8501/v1/models/a%20b/versions/3"),
        (Addresses("10.0.0.1", 80, 0, rest_tls=True), "https://10.0.0.1:80/v1/models/a%20b/versions/3"),
        (Addresses("fd00::1", 8501, 0), "http://[fd00::1]:8501/v1/models/a%20b/versions/3"),
        (Addresses("0.0.0.0", 0, 8500), "grpc://localhost:8500/a%20b/versions/3"),
        (Addresses("0.0.0.0", 0, 8500, grpc_tls=True), "grpcs://localhost:8500/a%20b/versions/3"),
        (Addresses("0.0.0.0", 0, 0, "/run/s"), ""),
    ],
)
def test_targets(addresses, target):
    assert addresses.target("a b", 3) == target


def test_facts_that_change_are_as_they_are_now():
    manager = FakeManager()
    now = ["tensorflow"]
    facts = {**FACTS, "engine": lambda: now[0]}
    manager.serving = AvailableVersion("m", 2, manager.serving.servable, facts=facts)
    shown = page(manager)
    assert shown.document()["models"]["m"]["versions"]["2"]["engine"] == "tensorflow"
    now[0] = "onnx"
    assert shown.document()["models"]["m"]["versions"]["2"]["engine"] == "onnx"
