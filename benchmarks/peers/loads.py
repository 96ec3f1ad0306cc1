"""What wrk and h2load say of one server under one load."""

import re
import shutil
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

GRPC_CALL = "/tensorflow.serving.PredictionService/Predict"
GRPC_CONNECTIONS = 4
TIMEOUT_S = 20
_SCRIPT = """local file = assert(io.open("{body}", "rb"))
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency)
  local errors = summary.errors
  print(string.format("@@ %d %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one load: answers/s (right ones only), times, and how many calls failed."""

    answers: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


def need(tool: str, package: str) -> None:
    """Raises SystemExit where the tool is not installed."""
    if not shutil.which(tool):
        raise SystemExit(f"The benchmark needs {tool} (Debian: apt-get install {package}).")


def wrk(url: str, body: Path, connections: int, seconds: int) -> Load:
    """POSTs the file ``body`` over and over, one request at a time on each connection."""
    script = body.with_suffix(".lua")
    script.write_text(_SCRIPT.replace("{body}", str(body)))
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_S}s", "--latency", "-s", str(script)]
    return read_wrk(_run(["wrk", *options, url], seconds))


def read_wrk(output: str) -> Load:
    found = re.search(r"^@@ (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", output, re.M)
    if not found:
        raise SystemExit(f"wrk said:\n{output}")
    requests, took_us, p50_us, p99_us, refused, broken = map(int, found.groups())
    answers = requests - refused
    return Load(answers, answers / took_us * 1e6, p50_us / 1000, p99_us / 1000, refused + broken)


def h2load(address: str, body: Path, streams: int, seconds: int, answer_bytes: int) -> Load:
    """Calls Predict with the framed message in the file ``body``, ``streams`` at a time on each of a few connections.

    h2load takes any HTTP 200 for a success, as which gRPC sends its errors, too. So answers are told by their bytes.
    """
    log = body.with_suffix(".log")
    log.unlink(missing_ok=True)  # h2load appends
    pressure = [f"--clients={GRPC_CONNECTIONS}", f"--max-concurrent-streams={streams}", f"--duration={seconds}"]
    headers = ["--header=content-type: application/grpc", "--header=te: trailers"]
    command = ["h2load", *pressure, *headers, f"--data={body}", f"--log-file={log}", f"http://{address}{GRPC_CALL}"]
    output = _run(command, seconds)
    with log.open() as lines:  # start, status, µs
        times_us = [int(line.split("\t")[2]) for line in lines]
    return read_h2load(output, times_us, seconds, answer_bytes)


def read_h2load(output: str, times_us: list[int], seconds: int, answer_bytes: int) -> Load:
    done, data = re.search(r"requests: .* (\d+) done", output), re.search(r"\((\d+)\) data", output)
    if not done or not data or len(times_us) < 2:
        raise SystemExit(f"h2load said:\n{output}")
    answers = min(int(done[1]), int(data[1]) // answer_bytes)
    points = statistics.quantiles(times_us, n=100)
    return Load(answers, answers / seconds, points[49] / 1000, points[98] / 1000, int(done[1]) - answers)


def _run(command: list[str], seconds: int) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if ended.returncode:
        raise SystemExit(f"{command[0]} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
