"""A control group that is almost full: calls are refused before the kernel kills, and answered again once it is not."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from limited import Group, in_cgroup
from limited_server import TIMEOUT_S, Served, served
from traffic import PREDICT, until

from unstuck.proto.tensors import fill
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse
from unstuck.testing.background import Background

MEBIBYTE = 1 << 20
LIMIT = 700 * MEBIBYTE
SHORT, MOST = 0.95, 0.965  # of the limit: where calls are refused from, and what is used at the most
QUICK, LONG = 3.0, 100_000.0
REFUSED = "Model 'm' takes no more calls now: memory is short, "
FIGURES = "of the container's 700 MiB are used, and "

HOG = """
import sys
held = []
for line in sys.stdin:
    held.append(b"x" * int(line))
    print(len(held), flush=True)
"""


def export_counting(base: Path) -> None:
    """y = x / 2 + 2, float [-1], after as many turns of a loop as the sum of x, which are up to a million."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def info(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Mul", ["before", "half"], ["after"]),
        ],
        "turn",
        [info("number", TensorProto.INT64, []), info("going", TensorProto.BOOL, []), info("before", 1, [])],
        [info("goes_on", TensorProto.BOOL, []), info("after", 1, [])],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Clip", ["sum", "zero", "million"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "", "zero"], ["nothing"], body=turn),
        helper.make_node("Mul", ["x", "half"], ["halved"]),
        helper.make_node("Add", ["halved", "two"], ["added"]),
        helper.make_node("Add", ["added", "nothing"], ["y"]),
    ]
    constants = {"zero": 0, "half": 0.5, "two": 2, "million": 1e6}
    tensors = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [info("x", 1, ["n"])], [info("y", 1, ["n"])], initializer=tensors)
    (base / "1").mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(base / "1" / "model.onnx"))


class Hog:
    """A process that holds memory in the server's group, until it ends."""

    def __init__(self, group: Group) -> None:
        command = group.command([sys.executable, "-c", HOG])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def take(self, size: int) -> None:
        """Returns once it has so many bytes more."""
        assert self._process.stdin
        assert self._process.stdout
        print(size, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline()

    def end(self) -> None:
        with self._process:  # which closes its input, and waits
            pass


@contextmanager
def hog_of(group: Group) -> Iterator[Hog]:
    hog = Hog(group)
    try:
        yield hog
    finally:
        hog.end()


class Caller:
    """One client's calls: ``"right"``, ``"refused"`` as documented, or what else became of them."""

    def __init__(self, server: Served) -> None:
        self._url = f"{server.url}/v1/models/m:predict"
        self._channel = grpc.insecure_channel(server.grpc_address)
        self._predict = self._channel.unary_unary(PREDICT, response_deserializer=PredictResponse.FromString)
        self.outcomes: Counter[str] = Counter()

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def over_rest(self, x: float) -> str:
        body = json.dumps({"instances": [x]}).encode()
        try:
            with urllib.request.urlopen(self._url, body, timeout=TIMEOUT_S) as answer:
                return self._heard(json.load(answer)["predictions"], x)
        except urllib.error.HTTPError as error:
            told = error.headers["x-unstuck-cause"], bool(error.headers["retry-after"])
            return self._refused((error.code, *told) == (503, "resources/overload", True), json.load(error)["error"])

    def over_grpc(self, x: float) -> str:
        request = PredictRequest()
        request.model_spec.name = "m"
        fill(request.inputs["x"], np.array([x], np.float32), as_content=False)
        try:
            answer = self._predict(request.SerializeToString(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return self._refused(error.code() is grpc.StatusCode.UNAVAILABLE, error.details())
        return self._heard([*answer.outputs["y"].float_val], x)

    def _heard(self, y: list[float], x: float) -> str:
        return self._counted("right" if y == [x / 2 + 2] else f"{y} for {x}")

    def _refused(self, is_right: bool, said: str) -> str:
        return self._counted("refused" if is_right and said.startswith(REFUSED) and FIGURES in said else said)

    def _counted(self, outcome: str) -> str:
        self.outcomes[outcome] += 1
        return outcome


class Crowd(Background):
    """Clients with long calls, which they make again and again: more at a time than threads run."""

    def __init__(self, server: Served, size: int) -> None:
        self._server = server
        self.outcomes: Counter[str] = Counter()
        self.broken: list[Exception] = []
        super().__init__(*[self._call] * size)

    def _call(self) -> None:
        try:
            with Caller(self._server) as caller:
                while not self.done.wait(0.02):
                    self.outcomes[caller.over_rest(LONG)] += 1
        except Exception as error:  # noqa: BLE001 - it is what must not happen
            self.broken.append(error)


def used_share(server: Served) -> float:
    limits = server.limits()["memory"]
    return next(each["used_bytes"] / LIMIT for each in limits if each["limit_bytes"] == LIMIT)


def is_short(server: Served) -> bool:
    return server.model()["admission"]["limited_by"] == "memory"


def fill_up(server: Served, hog: Hog) -> None:
    """Has the hog take what is left, but for a little."""

    def is_full() -> bool:
        missing = int((MOST - used_share(server)) * LIMIT)
        if missing > MEBIBYTE:
            hog.take(missing)
        return missing <= MEBIBYTE

    until(is_full)


def is_ready(server: Served) -> bool:
    with urllib.request.urlopen(f"{server.url}/readyz", timeout=TIMEOUT_S) as answer:
        return answer.status == 200


def until_outcome(call: Callable[[float], str], outcome: str) -> None:
    until(lambda: call(QUICK) == outcome, TIMEOUT_S)


def test_calls_are_refused_while_the_group_is_almost_full_and_answered_once_it_is_not(tmp_path):
    export_counting(tmp_path / "m")
    with ExitStack() as stack:
        group = stack.enter_context(in_cgroup(memory_bytes=LIMIT))
        server = stack.enter_context(served(group.command, tmp_path / "m", "--max_queue_wait_ms=0"))
        caller = stack.enter_context(Caller(server))
        assert (caller.over_rest(QUICK), caller.over_grpc(LONG)) == ("right", "right")
        assert not is_short(server)

        with hog_of(group) as hog:
            fill_up(server, hog)
            until(lambda: is_short(server))
            threads = server.model()["admission"]["limit"]
            assert (caller.over_rest(QUICK), caller.over_grpc(QUICK)) == ("right", "right"), "some are always taken"
            with Crowd(server, threads + 4) as crowd:
                for call in (caller.over_rest, caller.over_grpc):
                    until_outcome(call, "refused")
                    assert is_ready(server), "it does answer as many as it can"
                assert is_short(server)
                assert SHORT - 0.01 < used_share(server) < 1
                refused = server.model()["admission"]["refused"]
                assert refused["memory"] > 1
                assert sum(refused.values()) == refused["memory"]

                hog.end()
                until(lambda: not is_short(server), TIMEOUT_S)
                assert (caller.over_rest(QUICK), caller.over_grpc(QUICK)) == ("right", "right"), "with the crowd"

        assert [call(x) for x in range(10) for call in (caller.over_rest, caller.over_grpc)] == ["right"] * 20
        assert is_ready(server)
        assert crowd.broken == []
        assert {*crowd.outcomes} == {"right", "refused"}
        assert {*caller.outcomes} == {"right", "refused"}
        assert "Model 'm': calls are refused: memory is short, " in server.said
        assert server.process.poll() is None
        assert group.oom_kills() == 0
