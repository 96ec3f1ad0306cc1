"""Flags whose effect no other test sees, each on a server that runs; and what is without effect, or refused."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_wire import call, predict, tensor

from unstuck.config.flags import Accepted
from unstuck.config.foreign_flags import FOREIGN_FLAGS
from unstuck.proto.wire.saved_model_pb2 import SavedModel
from unstuck.testing import faulty_models, models, onnx_models, tflite_models

TIMEOUT_S = 120
BUSY_S, CALLS = 0.3, 4
SERVE = [sys.executable, "-m", "unstuck", "serve", "--rest_api_port=auto", "--port=0", "--host=127.0.0.1"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at threads in /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("flags")


@pytest.fixture(scope="module")
def slow(folder):
    return faulty_models.slow(folder / "slow", busy_s=BUSY_S)


@pytest.fixture(scope="module")
def small(folder):
    return onnx_models.half_plus_two(folder / "small")


class Command:
    """``unstuck serve`` with these arguments, up to Ready or its end; what it printed is in ``out``."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [*SERVE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.out = ""
        for line in self.process.stdout:
            self.out += line
            if line.startswith("Ready"):
                break

    @property
    def url(self):
        return re.search(r"REST +(\S+)", self.out)[1]

    def threads(self):
        """The names of its threads."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [(tasks / each / "comm").read_text().strip() for each in os.listdir(tasks)]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode


@pytest.fixture
def command():
    """``command(arguments)``: a ``Command``; stopped afterwards."""
    started = []

    def start(*arguments):
        started.append(Command(*arguments))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_rest_api_num_threads(serve, slow):
    """One thread does one call after the other."""
    url = f"{serve({'slow': slow}, rest_threads=1).url}/v1/models/slow:predict"
    body = {"instances": [2.0]}
    assert httpx.post(url, json=body, timeout=TIMEOUT_S).status_code == 200, "from now on it is known to be long"
    with ThreadPoolExecutor(CALLS) as pool:
        began = time.monotonic()
        answers = [*pool.map(lambda _: httpx.post(url, json=body, timeout=TIMEOUT_S), range(CALLS))]
    assert [each.json() for each in answers] == [{"predictions": [3.0]}] * CALLS
    assert time.monotonic() - began > CALLS * BUSY_S


def test_grpc_max_threads(serve, slow):
    address = serve({"slow": slow}, grpc_threads=1, grpc_front="grpcio").grpc_address
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(CALLS) as pool:
        request = predict("slow", x=tensor("float", [1], 2))
        began = time.monotonic()
        answers = [*pool.map(lambda _: call(channel, request), range(CALLS))]
    assert [each.message.outputs["y"] for each in answers] == [tensor("float", [1], 3)] * CALLS
    assert time.monotonic() - began > CALLS * BUSY_S


def test_grpc_channel_arguments(serve, small):
    limits = {"grpc.max_receive_message_length": 1000}
    with grpc.insecure_channel(serve({"m": small}, grpc_channel_arguments=limits).grpc_address) as channel:
        answers = [call(channel, predict("m", x=tensor("float", [rows, 1], *[2] * rows))) for rows in (1, 1000)]
    assert answers[0].message.outputs["y"] == tensor("float", [1, 1], 3)
    assert answers[1].error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_monitoring_config_file(serve, small):
    server = serve({"m": small}, metrics_paths=("/metrics", "/mine"))
    pages = [httpx.get(f"{server.url}{path}") for path in ("/metrics", "/mine", "/other")]
    assert [page.status_code for page in pages] == [200, 200, 404]
    assert "# TYPE" in pages[1].text


def test_saved_model_tags(serve, folder):
    path = models.half_plus_two(folder / "tagged", 1)
    saved = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].meta_info_def.tags.append("gpu")
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    (failure,) = serve({"m": path}).failures
    assert "has no graph with the tags 'serve'; it has gpu,serve." in str(failure)
    server = serve({"m": path}, saved_model_tags=("serve", "gpu"))
    assert not server.failures
    answer = httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [[2.0]]})
    assert answer.json() == {"predictions": [[3.0]]}


@linux
@pytest.mark.slow
def test_tensorflows_threads(command, folder):
    """--tensorflow_session_parallelism, --tensorflow_intra_op_parallelism, --tensorflow_inter_op_parallelism."""
    model = models.half_plus_two(folder / "threads")
    in_pool, others = {}, {}
    for flag in ("session_parallelism=9", "intra_op_parallelism=1", "inter_op_parallelism=9"):
        server = command(model, f"--tensorflow_{flag}")
        answer = httpx.post(f"{server.url}/v1/models/threads:predict", json={"instances": [[2.0]]})
        assert answer.json() == {"predictions": [[3.0]]}
        names = server.threads()
        in_pool[flag] = len([name for name in names if name.startswith("tf_Compute0")])
        others[flag] = len(names) - in_pool[flag]
    assert [*in_pool.values()] == [9, 0, 9], "a pool of its own for ops that run at the same time"
    sharing = others["session_parallelism=9"] - others["intra_op_parallelism=1"]
    assert 7 <= sharing <= 9, "one thread is the calling one"


@linux
@pytest.mark.slow
def test_tensorflow_session_config_file(command, slow, tmp_path):
    config = tmp_path / "config.pbtxt"
    config.write_text("session_inter_op_thread_pool { num_threads: 5 }\nintra_op_parallelism_threads: 3\n")
    server = command(slow, f"--tensorflow_session_config_file={config}")
    answer = httpx.post(f"{server.url}/v1/models/slow:predict", json={"instances": [2.0]}, timeout=TIMEOUT_S)
    assert answer.json() == {"predictions": [3.0]}
    assert len([name for name in server.threads() if name.startswith("tf_Compute0")]) == 5
    assert "intra_op_parallelism_threads has no effect, as in TensorFlow Serving; its flags do" in server.out


@pytest.mark.slow
def test_a_session_config_that_cannot_be_read_ends_it(command, slow, tmp_path):
    config = tmp_path / "config.pbtxt"
    config.write_text("gpu_options {\n  no_such_field: 1\n}\n")
    server = command(slow, f"--tensorflow_session_config_file={config}")
    assert server.process.wait(TIMEOUT_S) == 1
    assert f"--tensorflow_session_config_file={config} is not a text proto of ConfigProto: 2:" in server.out
    assert "no_such_field" in server.out


@pytest.mark.slow
def test_prefer_tflite_model(command, folder, tmp_path):
    path = models.half_plus_three(tmp_path / "m", 1)
    shutil.copy(tflite_models.half_plus_two(folder / "lite") / "model.tflite", path)
    flags = ("--prefer_tflite_model", "--num_tflite_pools=3", "--num_tflite_interpreters_per_pool=2")
    for given, y in (((), 4.0), (flags, 3.0)):
        server = command(tmp_path / "m", *given)
        answer = httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [[2.0]]})
        assert answer.json() == {"predictions": [[y]]}


def test_what_has_no_effect_is_said_in_a_line_each(command, small):
    accepted = [flag for flag in FOREIGN_FLAGS if isinstance(flag, Accepted)]
    server = command(small, *(f"--{flag.name}" for flag in accepted))
    lines = server.out.splitlines()
    for flag in accepted:
        assert lines.count(f"--{flag.name} has no effect: {flag.why}.") == 1
    assert httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.parametrize(
    "flag", [flag for flag in FOREIGN_FLAGS if not isinstance(flag, Accepted)], ids=lambda flag: flag.name
)
def test_what_is_refused_ends_it_with_the_reason(command, small, flag):
    server = command(small, f"--{flag.name}" if flag.boolean else f"--{flag.name}=/f")
    assert server.process.wait(TIMEOUT_S) == 1
    assert server.out == f"unstuck serve: --{flag.name} cannot be used: {flag.why}. {flag.hint}\n"
