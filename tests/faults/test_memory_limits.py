"""Real limits of memory, too small at the start and at a swap: no wrong answer, no killed server, figures, recovery."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from limited import RlimitGroup, in_cgroup
from limited_server import served
from traffic import export, until

from unstuck.testing.background import Background

MEBIBYTE = 1 << 20
X = 3.0
TIMEOUT_S = 120
REFUSED = (
    r"it needs (\d+) MiB of memory \((?:estimated from its files|measured when it was loaded before)\), "
    r"(\d+) MiB left of {owner}'s {limit} MiB( \(cgroup v[12]\))?"
)


def export_onnx(base: Path, version: int, weight_bytes: int) -> None:
    """y = x / 2 + version, float [-1], which every call reads of ``weight_bytes``; appears at once, as a whole."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.full(weight_bytes // 4, version, np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["place"]),
        helper.make_node("Cast", ["place"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["weights", "index"], ["read"]),
        helper.make_node("Mul", ["x", "half"], ["halved"]),
        helper.make_node("Add", ["halved", "read"], ["y"]),
    ]
    constants = {"weights": weights, "zero": np.float32(0), "half": np.float32(0.5)}
    inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])] for name in "xy")
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=tensors)
    staged = base.parent / f".{base.name}-{version}"
    staged.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(staged / "model.onnx"))
    base.mkdir(exist_ok=True)
    staged.rename(base / str(version))


class Calls(Background):
    """Calls all the time: which versions answered, and whatever was no right answer of a version."""

    def __init__(self, url: str, refusals: tuple[int, ...] = ()) -> None:
        """``refusals``: the statuses that are right where nothing serves."""
        self._url, self._refusals = f"{url}/v1/models/m:predict", refusals
        self.versions: list[int] = []
        self.wrong: list[Any] = []
        super().__init__(self._call)

    def __enter__(self) -> Self:
        super().__enter__()
        until(lambda: self.versions or self.wrong)
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        assert self.wrong == []

    def _call(self) -> None:
        body = json.dumps({"instances": [X]}).encode()
        while not self.done.wait(0.005):
            try:
                with urllib.request.urlopen(self._url, body, timeout=TIMEOUT_S) as answer:
                    version = json.load(answer)["predictions"][0] - X / 2
                self.versions.append(int(version))
                if version not in (1, 2):
                    self.wrong.append(version)
            except urllib.error.HTTPError as error:
                if error.code not in self._refusals:
                    self.wrong.append((error.code, error.read()))
            except OSError as error:
                self.wrong.append(error)


def refused(text: str, owner: str, limit: int) -> tuple[int, int]:
    """The figures of the refusal in ``text``: what is needed, and what was left."""
    found = re.search(REFUSED.format(owner=owner, limit=limit), text)
    assert found, text
    needed, left = int(found[1]), int(found[2])
    assert left < needed
    return needed, left


def test_a_limit_too_small_at_the_start_is_refused_and_the_one_that_is_advised_is_enough(tmp_path):
    base = tmp_path / "m"
    export_onnx(base, 1, 100 * MEBIBYTE)
    with in_cgroup(memory_bytes=150 * MEBIBYTE) as group:
        with served(group.command, base) as server:
            assert server.process.wait(TIMEOUT_S) == 1
        needed, _ = refused(server.said, "the container", 150)
        assert "left of the container's 150 MiB" in server.said.split("Limits: memory: ")[1]
        advised = re.search(r"Raise the limit to (\d+) MiB\.", server.said)
        assert advised, server.said
        assert 100 < needed < int(advised[1])
        group.set_memory((int(advised[1]) + 2) * MEBIBYTE)  # as starts differ by some pages
        with served(group.command, base) as server, Calls(server.url) as calls:
            until(lambda: len(calls.versions) > 20)
            assert server.limits()["memory_limit_bytes"] == (int(advised[1]) + 2) * MEBIBYTE
        assert group.oom_kills() == 0


def test_a_limit_too_small_for_a_swap_leaves_the_old_version_until_it_is_raised(tmp_path):
    base = tmp_path / "m"
    export_onnx(base, 1, 60 * MEBIBYTE)
    with in_cgroup(memory_bytes=340 * MEBIBYTE) as group:
        with served(group.command, base) as server, Calls(server.url) as calls:
            export_onnx(base, 2, 100 * MEBIBYTE)
            until(lambda: server.versions().get("2", {}).get("state") == "END")
            said = server.versions()["2"]["error"]
            refused(said, "the container", 340)
            held = re.search(r"version 1 holds (\d+) MiB", said)
            assert held, said
            assert 50 < int(held[1]) < 200
            assert "--aspired_version_policy=resource_preserving" in said
            assert server.versions()["1"]["state"] == "AVAILABLE"
            seen = len(calls.versions)
            until(lambda: len(calls.versions) > seen + 20)
            assert {*calls.versions} == {1}
            group.set_memory(700 * MEBIBYTE)
            until(lambda: calls.versions[-1] == 2)
        assert group.oom_kills() == 0


@pytest.mark.slow
def test_the_resource_preserving_policy_swaps_where_both_do_not_fit(tmp_path):
    base = tmp_path / "m"
    export_onnx(base, 1, 100 * MEBIBYTE)
    with in_cgroup(memory_bytes=345 * MEBIBYTE) as group:
        policy = "--aspired_version_policy=resource_preserving"
        with served(group.command, base, policy) as server, Calls(server.url, refusals=(404, 503)) as calls:
            export_onnx(base, 2, 100 * MEBIBYTE)
            until(lambda: calls.versions[-1] == 2)
        assert group.oom_kills() == 0


@pytest.mark.slow
def test_to_preserve_resources_the_old_version_stays_where_the_new_one_cannot_fit_in_its_place(tmp_path):
    base = tmp_path / "m"
    export_onnx(base, 1, 100 * MEBIBYTE)
    with in_cgroup(memory_bytes=345 * MEBIBYTE) as group:
        policy = "--aspired_version_policy=resource_preserving"
        with served(group.command, base, policy) as server:
            with Calls(server.url) as calls:
                export_onnx(base, 2, 250 * MEBIBYTE)
                until(lambda: server.versions().get("2", {}).get("state") == "END")
                said = server.versions()["2"]["error"]
                needed, _ = refused(said, "the container", 345)
                assert needed > 250
                assert re.search(r"version 1 holds \d+ MiB, which would not be enough besides\. Raise the limit", said)
                assert server.versions()["1"]["state"] == "AVAILABLE"
                seen = len(calls.versions)
                until(lambda: len(calls.versions) > seen + 20)
                assert {*calls.versions} == {1}
            with Calls(server.url, refusals=(404, 503)) as calls:
                advised = re.search(r"Raise the limit to (\d+) MiB\.", said)
                assert advised, said
                group.set_memory((int(advised[1]) + 40) * MEBIBYTE)  # what is to be spare, and as uses vary
                until(lambda: calls.versions and calls.versions[-1] == 2)
        assert group.oom_kills() == 0


def test_a_resource_limit_is_heeded_as_well(tmp_path):
    base = tmp_path / "m"
    export_onnx(base, 1, 60 * MEBIBYTE)
    with served(RlimitGroup(280 * MEBIBYTE).command, base) as server:
        assert server.process.wait(TIMEOUT_S) == 1
    refused(server.said, "RLIMIT_DATA", 280)
    with served(RlimitGroup(1500 * MEBIBYTE).command, base) as server, Calls(server.url) as calls:
        until(lambda: len(calls.versions) > 20)
        assert server.limits()["memory_limit_bytes"] == 1500 * MEBIBYTE


@pytest.mark.slow
def test_what_a_load_took_is_remembered(tmp_path):
    base = tmp_path / "m"
    export_onnx(base, 1, 100 * MEBIBYTE)
    with served(list, base) as server:
        assert server.url
    with in_cgroup(memory_bytes=100 * MEBIBYTE) as group, served(group.command, base) as server:
        assert server.process.wait(TIMEOUT_S) == 1
    assert "measured when it was loaded before" in server.said
    needed, _ = refused(server.said, "the container", 100)
    assert 100 < needed < 320


@pytest.mark.slow
def test_a_savedmodel_too_large_for_a_swap_leaves_the_old_version_until_the_limit_is_raised(tmp_path):
    base = tmp_path / "m"
    export(base, 1, 100 * MEBIBYTE)
    with in_cgroup(memory_bytes=520 * MEBIBYTE) as group:
        with served(group.command, base) as server, Calls(server.url) as calls:
            export(base, 2, 150 * MEBIBYTE)
            until(lambda: server.versions().get("2", {}).get("state") == "END")
            refused(server.versions()["2"]["error"], "the container", 520)
            seen = len(calls.versions)
            until(lambda: len(calls.versions) > seen + 20)
            assert {*calls.versions} == {1}
            group.set_memory(900 * MEBIBYTE)
            until(lambda: calls.versions[-1] == 2)
        assert group.oom_kills() == 0
