"""gRPC throughput of one process beside a bare grpcio server of the same model.

    ./dev bench grpc [--seconds 4] [--rounds 5]

Needs ``h2load``. The peer (``benchmarks/grpc_peer.py``) is what one would write by hand: grpcio, the official API, and
the same call into TensorFlow. Servers are measured in turn, the medians of all rounds compared; on a busy machine only
the ratios mean something.

h2load counts any HTTP 200 as a success and reads no grpc-status. So a grpcio client checks before and after that the
servers' answers agree, and each run of h2load that it received the bytes of such answers: exactly in the first run of
each server, at the highest load; in the timed ones h2load adds the bytes of the warm-up, and few errors could hide.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np

from benchmarks import servers

CONNECTIONS = 4
STREAMS = (1, 8, 32)
CALL = "/tensorflow.serving.PredictionService/Predict"
ADDRESS = r"gRPC\s+(\S+:\d+)"
WARMING_REQUESTS = 5000
TIMEOUT_S = 30
TOLERANCE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="length of one h2load run, after a second to warm up")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each server and number of streams")
    options = parser.parse_args()
    if not shutil.which("h2load"):
        sys.exit("The benchmark needs h2load (Debian: apt-get install nghttp2-client).")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        servers.export(work)
        throughput(work, options.seconds, options.rounds)


def throughput(work: Path, seconds: int, rounds: int) -> None:
    """Prints requests/s and p99 of the small MLP (64 -> 128 -> 128 -> 10), one row a request, and of the peer."""
    row = np.random.default_rng(0).random((1, 64), np.float32)
    request = _request(row)
    load = _Load(work, request)
    with ExitStack() as stack:
        flags = ("--port=auto", "--rest_api_port=0")
        version = str(work / "mlp" / "1")
        addresses = {
            "unstuck": stack.enter_context(servers.unstuck(work / "mlp", *flags, address=ADDRESS)),
            "grpcio": stack.enter_context(servers.child("benchmarks.grpc_peer", "mlp", version, address=ADDRESS)),
        }
        for address, answer in _agreed(addresses, request).items():
            load.answer_bytes[address] = len(answer)
            load.run(address, STREAMS[-1], f"--requests={WARMING_REQUESTS}")  # the server learns that calls are short
        print(f"MLP 64-128-128-10, one row, {CONNECTIONS} connections, {os.cpu_count()} cores shared with h2load; "
              f"{rounds} x {seconds} s, medians")  # fmt: skip
        servers.compare(
            "streams", STREAMS, addresses, rounds, lambda address, streams: load.measure(address, streams, seconds)
        )
        _agreed(addresses, request)


class _Load:
    """h2load with one request, framed as gRPC has it: no compression, the length, the message."""

    def __init__(self, work: Path, request: bytes) -> None:
        self.answer_bytes: dict[str, int] = {}
        self._log = work / "h2load.log"
        self._body = work / "request"
        self._body.write_bytes(_framed(request))

    def measure(self, address: str, streams: int, seconds: int) -> servers.Measurement:
        self._log.unlink(missing_ok=True)  # h2load appends
        output = self.run(address, streams, f"--duration={seconds}", "--warm-up-time=1", f"--log-file={self._log}")
        rate = re.search(r"finished in .*?, ([\d.]+) req/s", output)
        assert rate is not None
        with self._log.open() as lines:  # start, status, µs
            times = [int(line.split("\t")[2]) for line in lines]
        return float(rate[1]), statistics.quantiles(times, n=100)[-1] / 1000

    def run(self, address: str, streams: int, *options: str) -> str:
        """Runs h2load; returns what it printed.

        Raises:
            SystemExit: not every request was answered as it was when the answers were compared.
        """
        headers = ("--header=content-type: application/grpc", "--header=te: trailers")
        pressure = (f"--clients={CONNECTIONS}", f"--max-concurrent-streams={streams}", f"--data={self._body}")
        command = ["h2load", *pressure, *headers, *options, f"http://{address}{CALL}"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        counts = re.search(r"requests: (\d+) total, .* (\d+) done, (\d+) succeeded", output)
        received = re.search(r"\((\d+)\) data", output)  # in the warm-up too
        assert counts is not None
        assert received is not None
        total, done, succeeded = map(int, counts.groups())
        if not 0 < total == done == succeeded or int(received[1]) < total * self.answer_bytes[address]:
            raise SystemExit(
                f"errors from {address}, instead of answers of {self.answer_bytes[address]} bytes:\n{output}"
            )
        return output


def _request(row: np.ndarray) -> bytes:
    from unstuck.proto import tensors
    from unstuck.proto.wire.predict_pb2 import PredictRequest

    request = PredictRequest()
    request.model_spec.name = "mlp"
    tensors.fill(request.inputs["x"], row, as_content=True)
    return request.SerializeToString()


def _agreed(addresses: Mapping[str, str], request: bytes) -> dict[str, bytes]:
    """Each address's framed answer to ``request``, as a grpcio client receives it.

    Raises:
        SystemExit: a server refuses, or answers other numbers than the first.
    """
    answers = {address: _call(address, request) for address in addresses.values()}
    outputs = [_outputs(answer) for answer in answers.values()]
    for other in outputs[1:]:
        if other.keys() != outputs[0].keys() or not all(_same(other[each], outputs[0][each]) for each in other):
            raise SystemExit(f"{' and '.join(addresses)} answer differently:\n" + "\n".join(map(str, outputs)))
    return {address: _framed(answer) for address, answer in answers.items()}


def _call(address: str, request: bytes) -> bytes:
    with grpc.insecure_channel(address) as channel:
        try:
            return channel.unary_unary(CALL)(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise SystemExit(f"{address} refuses: {error}") from None


def _outputs(answer: bytes) -> dict[str, np.ndarray]:
    from unstuck.proto import tensors
    from unstuck.proto.wire.predict_pb2 import PredictResponse

    return {alias: tensors.to_array(each) for alias, each in PredictResponse.FromString(answer).outputs.items()}


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.size > 0 and np.allclose(one, other, rtol=0, atol=TOLERANCE)


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


if __name__ == "__main__":
    main()
