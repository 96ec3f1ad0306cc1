"""VersionMetrics: states, loads and attempts; rows unlike training."""

from pathlib import Path
from types import SimpleNamespace

from unstuck.core.models import State, VersionStatus
from unstuck.errors import LoadFailed
from unstuck.monitor.versions import VersionMetrics, skewed_rows


def samples(source):
    return {
        (family.name, *sample.labels.values()): sample.value
        for family in source.families()
        for sample in family.samples
    }


def go(metrics, version, *states, error=None):
    for state in states:
        if state is State.LOADING:
            metrics.load_begins("m", version, Path(f"/models/m/{version}"))
        metrics.version_changed("m", VersionStatus(version, state, error if state is State.END else None))


def test_a_version_has_one_state_and_an_unloaded_one_none():
    metrics = VersionMetrics()
    go(metrics, 1, State.START, State.LOADING, State.AVAILABLE)
    go(metrics, 2, State.START, State.LOADING)
    states = {key[1:] for key in samples(metrics) if key[0] == "unstuck_version_state"}
    assert states == {("m", "1", "AVAILABLE"), ("m", "2", "LOADING")}
    assert metrics.versions == {("m", 1), ("m", 2)}
    go(metrics, 1, State.UNLOADING, State.END)
    states = {key[1:] for key in samples(metrics) if key[0] == "unstuck_version_state"}
    assert states == {("m", "2", "LOADING")}
    assert (metrics.versions, metrics.names) == ({("m", 2)}, {"m"})


def test_a_version_that_could_not_be_loaded_stays_to_be_seen():
    metrics = VersionMetrics()
    go(metrics, 1, State.START, State.LOADING, State.END, error=LoadFailed("broken"))
    assert samples(metrics)["unstuck_version_state", "m", "1", "END"] == 1
    assert metrics.versions == frozenset()


def test_attempts_and_times_of_loads():
    metrics = VersionMetrics()
    go(metrics, 1, State.START, State.LOADING)
    go(metrics, 1, State.LOADING, State.LOADING, State.AVAILABLE)
    go(metrics, 2, State.START, State.LOADING, State.END, error=LoadFailed("broken"))
    found = samples(metrics)
    attempts = ":tensorflow:cc:saved_model:load_attempt_count"
    assert found[attempts, "/models/m/1", "fail"] == 2, "tried again twice"
    assert found[attempts, "/models/m/1", "success"] == 1
    assert found[attempts, "/models/m/2", "fail"] == 1
    assert (":tensorflow:cc:saved_model:load_latency", "/models/m/1") in found
    assert (":tensorflow:cc:saved_model:load_latency", "/models/m/2") not in found
    assert 0 < found["unstuck_load_duration_seconds", "m", "1"] < 60
    assert ("unstuck_load_duration_seconds", "m", "2") not in found


def test_rows_unlike_training_are_read_from_the_versions_that_serve():
    watch = SimpleNamespace(signature_name="s", counts={"age": 3})
    served = [
        SimpleNamespace(name="m", version=1, watch=watch),
        SimpleNamespace(name="n", version=1, watch=None),
    ]
    source = skewed_rows(lambda: served)
    assert samples(source) == {("unstuck_skewed_rows_total", "m", "1", "s", "age"): 3}
    watch.counts["age"] += 1
    assert list(samples(source).values()) == [4]
