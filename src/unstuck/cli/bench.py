"""``unstuck bench``: how many requests a served model answers, how fast, and at which rate it gets slow."""

import shlex
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from unstuck.bench import child
from unstuck.bench.load import Arrivals, ClosedLoop, Load, OpenLoop
from unstuck.bench.run import Question, measure
from unstuck.cli import output
from unstuck.cli.api_key import API_KEY_FILE, api_key
from unstuck.cli.bench_progress import watched
from unstuck.cli.exit_status import exit_status
from unstuck.client.address import SCHEMES
from unstuck.client.tls import TlsFiles
from unstuck.config import flags
from unstuck.config.flag_values import read_positive
from unstuck.config.flags import Flag, FlagError, Flags
from unstuck.errors import SetupError

USAGE = """\
Usage: unstuck bench URL|PATH [FLAGS]

Puts load on a served model, and measures how many requests it answers and how fast. URL is of any server of TensorFlow
Serving's protocol: http(s)://HOST:PORT/v1/models/NAME[/versions/N|/labels/L] or grpc(s)://HOST:PORT/NAME[/versions/N].
PATH is a model, as unstuck serve takes it, which it serves meanwhile.

What load; each is measured by itself
  --concurrency N[,N…]   closed loop: N callers, each waits for its answer (1,4,16 where nothing is said)
  --rate R[,R…]          open loop: R requests a second, whether or not earlier ones were answered
  --arrivals poisson|constant   how those of an open loop come (poisson)
  --target-p99 MS        alone: looks for the highest rate that keeps the 99th percentile within MS milliseconds;
                         with loads: they must
  --duration SECONDS     of each load (5)
  --warmup SECONDS       before it, not counted (1)
  --timeout SECONDS      after which a call has failed (10)
  --connections N        an open loop's calls under way at most (256)
  --processes N          that make the load (1)

What is sent
  --requests FILE        REST predict bodies, one a line; or a TFRecord of PredictionLog. Else random inputs are made up
  --batch N              rows of a request that is made up (1)
  --signature NAME       which to call (the default one)
  --ca-file, --cert-file, --key-file FILE   for TLS
  --api_key_file FILE    holds the key for the server, if it wants one (else $UNSTUCK_API_KEY)

PATH alone
  --api rest|grpc        which to call (rest)
  --serve-flag FLAG      a flag for unstuck serve, such as --serve-flag=--pipeline_file=p.yaml; repeatable

What comes out
  --format text|json|html   the report's form (text)
  --output FILE          write the report there

In an open loop latency counts from the moment when a request was due, so a server that stalls cannot hide it. Failed
calls are counted by what failed, never as latency. Ctrl-C ends early, and reports what was measured.

Exit status: 0 fine, 1 calls failed or the target was missed, 2 could not run, 130 interrupted."""

HELP_HINT = "unstuck bench --help says more."
INTERRUPTED = 130
TEXT_WIDTH = 116
Format = Literal["text", "json", "html"]
Api = Literal["rest", "grpc"]


def read_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value


def _seconds(text: str) -> float:
    """0 is none."""
    return 0.0 if text.strip() in ("0", "0.0") else read_number(text)


def _concurrencies(text: str) -> tuple[ClosedLoop, ...]:
    return tuple(ClosedLoop(read_positive(each)) for each in text.split(","))


def _rates(text: str) -> tuple[OpenLoop, ...]:
    return tuple(OpenLoop(read_number(each)) for each in text.split(","))


def _arrivals(text: str) -> Arrivals:
    if text not in ("poisson", "constant"):
        raise ValueError("expected poisson or constant")
    return text


def _api(text: str) -> Api:
    if text not in ("rest", "grpc"):
        raise ValueError("expected rest or grpc")
    return text


def _format(text: str) -> Format:
    if text not in ("text", "json", "html"):
        raise ValueError("expected text, json or html")
    return text


def read_path(text: str) -> Path:
    if not text:
        raise ValueError("expected a path")
    return Path(text).absolute()


CONCURRENCY: Flag[tuple[ClosedLoop, ...]] = Flag(
    "concurrency", _concurrencies, (), "N[,N…]", "callers of a closed loop"
)
RATE: Flag[tuple[OpenLoop, ...]] = Flag("rate", _rates, (), "R[,R…]", "open loops")
ARRIVALS: Flag[Arrivals] = Flag("arrivals", _arrivals, "poisson", "poisson|constant", "how an open loop's calls come")
TARGET: Flag[float | None] = Flag("target-p99", read_number, None, "MS", "what the 99th percentile must stay within")
DURATION = Flag("duration", read_number, 5.0, "SECONDS", "of each load")
WARMUP = Flag("warmup", _seconds, 1.0, "SECONDS", "before each load")
TIMEOUT = Flag("timeout", read_number, 10.0, "SECONDS", "after which a call has failed")
CONNECTIONS = Flag("connections", read_positive, 256, "N", "an open loop's calls under way at most")
PROCESSES = Flag("processes", read_positive, 1, "N", "that make the load")
REQUESTS: Flag[Path | None] = Flag("requests", read_path, None, "FILE", "what is sent")
BATCH = Flag("batch", read_positive, 1, "N", "rows of a request that is made up")
SIGNATURE = Flag("signature", str, "", "NAME", "which to call")
CA_FILE = Flag("ca-file", str, "", "FILE", "certificates to trust")
CERT_FILE = Flag("cert-file", str, "", "FILE", "the client's certificate")
KEY_FILE = Flag("key-file", str, "", "FILE", "its key")
API: Flag[Api] = Flag("api", _api, "rest", "rest|grpc", "which to call of a model on disk")
SERVE_FLAG = Flag("serve-flag", str, "", "FLAG", "a flag for unstuck serve", repeatable=True)
FORMAT: Flag[Format] = Flag("format", _format, "text", "text|json|html", "the report's form")
OUTPUT: Flag[Path | None] = Flag("output", read_path, None, "FILE", "where to write the report")

OF_PATH = (API, SERVE_FLAG)
FLAGS = cast(
    "tuple[Flag[object], ...]",
    (
        *(CONCURRENCY, RATE, ARRIVALS, TARGET, DURATION, WARMUP, TIMEOUT, CONNECTIONS, PROCESSES),
        *(REQUESTS, BATCH, SIGNATURE, CA_FILE, CERT_FILE, KEY_FILE, API_KEY_FILE),
        *(*OF_PATH, FORMAT, OUTPUT, flags.HELP),
    ),
)
DEFAULT_LOADS = (ClosedLoop(1), ClosedLoop(4), ClosedLoop(16))


def run(arguments: Sequence[str]) -> int:
    """Measures and reports; returns the exit status."""
    return exit_status("bench", lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    if len(given.positional) != 1:
        raise FlagError(f"Expected one URL or PATH, got {len(given.positional)}.", hint=HELP_HINT)
    path = given.get(OUTPUT)
    if path is not None and not path.parent.is_dir():
        raise SetupError(f"--output={path}: there is no folder {path.parent}.")
    with _question(given) as question, watched() as watcher:
        results = measure(question, watcher)
    # Imported once there is something to report: HTML and tables are nothing that a load generator should wait for.
    from unstuck.bench import report

    forms: dict[Format, Callable[[], str]] = {
        "json": lambda: report.as_json(results),
        "html": lambda: report.as_html(results),
        "text": lambda: report.as_text(results, width=_width(path), colour=path is None and sys.stdout.isatty()),
    }
    _write(path, forms[given.get(FORMAT)]())
    if results.is_interrupted:
        return INTERRUPTED
    return 0 if results.is_fine else 1


def _width(path: Path | None) -> int:
    from rich.console import Console

    terminal = Console()
    return max(terminal.width, 80) if path is None and terminal.is_terminal else TEXT_WIDTH


@contextmanager
def _question(given: Flags) -> Generator[Question]:
    """What is asked, for as long as its target is served."""
    (where,) = given.positional
    if where.partition("://")[0] in SCHEMES and "://" in where:
        of_path = [f"--{flag.name}" for flag in OF_PATH if given.has(cast("Flag[object]", flag))]
        if of_path:
            raise FlagError(f"{', '.join(of_path)} is for a PATH; {where} is served already.")
        yield replace(_asked(given), url=where, diagnosis=_diagnosis(given, shlex.quote(where)))
        return
    asked = _asked(given)
    signal.signal(signal.SIGTERM, terminated)  # which would leave the child behind
    with child.serving(where, given.get(API), given.all(SERVE_FLAG)) as served:
        diagnosis = _diagnosis(given, f"--model={shlex.quote(where)}")
        yield replace(asked, url=served.url, server_pid=served.pid, diagnosis=diagnosis)


def terminated(number: int, _: object) -> None:
    sys.exit(128 + number)


def _diagnosis(given: Flags, target: str) -> str:
    requests = given.get(REQUESTS)
    return f"unstuck diagnose {target}" + (f" --requests={shlex.quote(str(requests))}" if requests else "")


def _asked(given: Flags) -> Question:
    """All of the question but its target. Raises FlagError where flags contradict each other."""
    arrivals, target_ms = given.get(ARRIVALS), given.get(TARGET)
    if given.has(BATCH) and given.has(REQUESTS):
        raise FlagError("--batch is for requests that are made up; --requests has its own.", hint="Leave out one.")
    loads: tuple[Load, ...] = (*given.get(CONCURRENCY), *(replace(load, arrivals=arrivals) for load in given.get(RATE)))
    return Question(
        url="",
        loads=loads or (() if target_ms else DEFAULT_LOADS),
        arrivals=arrivals,
        target_p99_s=target_ms / 1000 if target_ms else None,
        duration_s=given.get(DURATION),
        warmup_s=given.get(WARMUP),
        timeout_s=given.get(TIMEOUT),
        requests=given.get(REQUESTS),
        signature=given.get(SIGNATURE),
        batch=given.get(BATCH),
        connections=given.get(CONNECTIONS),
        processes=given.get(PROCESSES),
        tls=TlsFiles(given.get(CA_FILE) or None, given.get(CERT_FILE) or None, given.get(KEY_FILE) or None),
        api_key=api_key(given),
    )


def _write(path: Path | None, text: str) -> None:
    if path is None:
        output.write(text)
        return
    try:
        path.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise SetupError(f"--output={path} cannot be written: {error.strerror or error}.") from None
    print(f"The report is in {path}.", file=sys.stderr)
