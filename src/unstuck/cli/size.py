"""``unstuck size``: what a model needs to be served at a rate, and manifests that give it just that."""

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from rich.console import Console

from unstuck import __version__
from unstuck.bench.run import Question
from unstuck.cli import bench, output
from unstuck.cli.bench_progress import watched
from unstuck.cli.exit_status import exit_status
from unstuck.config import flags
from unstuck.config.flag_values import read_not_negative
from unstuck.config.flags import Flag, FlagError, Flags
from unstuck.config.serve_flags import SERVE_FLAGS
from unstuck.config.serving import server_config
from unstuck.core.cpus import usable_cpus
from unstuck.core.locations import RemotePath
from unstuck.core.models import ModelConfig
from unstuck.errors import SetupError
from unstuck.sizing import report
from unstuck.sizing.deployed import Deployed
from unstuck.sizing.manifests import manifests
from unstuck.sizing.measuring import Asked, Sizing, size

USAGE = f"""\
Usage: unstuck size PATH [FLAGS]

Serves the model in a child with the limits of a container, under rising load, and says what it needs: memory, CPU,
processes, replicas. Then it serves it with just that, to prove it, and prints manifests that give it just that.

What is wanted
  --rate R               requests a second, of all replicas (what one replica does)
  --p99 MS               what the 99th percentile must stay within (100)
  --cpus N               of a replica at most (the machine's but one, which the load generator takes)
  --workers N            processes (found out; 0 is one without a supervisor)

How it is measured; unstuck bench --help says more
  --duration SECONDS     of each load (3)
  --warmup SECONDS       before it, not counted (1)
  --timeout SECONDS      after which a call has failed (10)
  --api rest|grpc        which to call (rest)
  --requests FILE        REST predict bodies, one a line; or a TFRecord of PredictionLog. Else random inputs are made up
  --batch N              rows of a request that is made up (1)
  --signature NAME       which to call (the default one)
  --serve-flag FLAG      a flag for unstuck serve, here and in the manifests; repeatable

The manifests
  --write DIR            write them there: docker-compose.yaml, kubernetes.yaml, servicemonitor.yaml, kserve.yaml
  --image IMAGE          of the server, as built from the repository's Dockerfile (unstuck:{__version__})
  --claim NAME           the PersistentVolumeClaim that has the model (models)
  --name NAME            of the model (as unstuck serve would call it)

  --format text|json     the report's form (text)

It takes a minute or two. Exit status: 0 fine, 1 what it needs could not be proven, 2 could not run, 130 interrupted."""

HELP_HINT = "unstuck size --help says more."
INTERRUPTED = 130
Format = Literal["text", "json"]


def _format(text: str) -> Format:
    if text not in ("text", "json"):
        raise ValueError("expected text or json")
    return text


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a name")
    return text


RATE: Flag[float | None] = Flag("rate", bench.read_number, None, "R", "requests a second")
P99 = Flag("p99", bench.read_number, 100.0, "MS", "what the 99th percentile must stay within")
CPUS: Flag[float | None] = Flag("cpus", bench.read_number, None, "N", "of a replica at most")
WORKERS: Flag[int | None] = Flag("workers", read_not_negative, None, "N", "processes")
DURATION = replace(bench.DURATION, default=3.0)
WRITE: Flag[Path | None] = Flag("write", bench.read_path, None, "DIR", "where to write the manifests")
IMAGE = Flag("image", _name, f"unstuck:{__version__}", "IMAGE", "of the server")
CLAIM = Flag("claim", _name, "models", "NAME", "the PersistentVolumeClaim")
NAME = Flag("name", _name, "", "NAME", "of the model")
FORMAT: Flag[Format] = Flag("format", _format, "text", "text|json", "the report's form")
FLAGS = cast(
    "tuple[Flag[object], ...]",
    (
        *(RATE, P99, CPUS, WORKERS, DURATION, bench.WARMUP, bench.TIMEOUT, bench.API, bench.REQUESTS, bench.BATCH),
        *(bench.SIGNATURE, bench.SERVE_FLAG, WRITE, IMAGE, CLAIM, NAME, FORMAT, flags.HELP),
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Sizes and reports; returns the exit status."""
    try:
        return exit_status("size", lambda: _run(arguments))
    except KeyboardInterrupt:
        print("unstuck size: interrupted.", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    if not Path("/proc/self/status").exists():
        raise SetupError("unstuck size needs Linux, which says what a process uses, and limits it.")
    if len(given.positional) != 1:
        raise FlagError(f"Expected one PATH, got {len(given.positional)}.", hint=HELP_HINT)
    (where,) = given.positional
    if "://" in where and where.startswith(("http://", "https://", "grpc://", "grpcs://")):
        raise FlagError(f"{where} is served already: its limits are not ours to set.", hint="Give the model's path.")
    (model,) = server_config(flags.parse([where], SERVE_FLAGS)).models
    asked = _asked(given, where)
    signal.signal(signal.SIGTERM, bench.terminated)  # which would leave the child behind
    with watched() as watcher:
        sizing = size(asked, watcher)
    files = manifests(_deployed(given, model, sizing))
    written = _write(given.get(WRITE), files)
    if given.get(FORMAT) == "json":
        output.write(report.as_json(sizing, files))
    else:
        output.write(_text(sizing, {} if written else files))
    for path in written:
        print(f"Written: {path}", file=sys.stderr)
    return 0 if sizing.is_proven else 1


def _asked(given: Flags, where: str) -> Asked:
    """Raises FlagError where flags contradict each other."""
    if given.has(bench.BATCH) and given.has(bench.REQUESTS):
        raise FlagError("--batch is for requests that are made up; --requests has its own.", hint="Leave out one.")
    serve_flags = given.all(bench.SERVE_FLAG)
    if any(flag.lstrip("-").startswith("workers") for flag in serve_flags):
        raise FlagError("--serve-flag=--workers is a flag of unstuck size itself.", hint="Give --workers=N.")
    question = Question(
        url="",
        loads=(),
        target_p99_s=given.get(P99) / 1000,
        duration_s=given.get(DURATION),
        warmup_s=given.get(bench.WARMUP),
        timeout_s=given.get(bench.TIMEOUT),
        requests=given.get(bench.REQUESTS),
        signature=given.get(bench.SIGNATURE),
        batch=given.get(bench.BATCH),
    )
    return Asked(
        where,
        question,
        rate=given.get(RATE),
        cpus=given.get(CPUS) or float(max(usable_cpus() - 1, 1)),
        workers=given.get(WORKERS),
        api=given.get(bench.API),
        flags=serve_flags,
    )


def _deployed(given: Flags, model: ModelConfig, sizing: Sizing) -> Deployed:
    location = model.base_path
    return Deployed(
        model=given.get(NAME) or model.name,
        source=str(location) if isinstance(location, RemotePath) else str(location.absolute()),
        image=given.get(IMAGE),
        claim=given.get(CLAIM),
        needs=sizing.needs,
        start_s=sizing.trials[-1].start_s or sizing.measured.start_s,
        flags=given.all(bench.SERVE_FLAG),
        why=report.why(sizing),
    )


def _text(sizing: Sizing, files: Mapping[str, str]) -> str:
    from unstuck.sizing.report_text import as_text

    terminal = Console()
    width = max(terminal.width, 80) if terminal.is_terminal else bench.TEXT_WIDTH
    said = as_text(sizing, width=width, colour=terminal.is_terminal and not terminal.no_color)
    return said + "".join(f"\n# {name}\n{text}" for name, text in files.items())


def _write(folder: Path | None, files: Mapping[str, str]) -> list[Path]:
    if folder is None:
        return []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"--write={folder}: {error.strerror or error}.") from None
    return [folder / name for name in files]
