"""Unstuck beside BentoML, LitServe, MLServer, Ray Serve and PyTriton, and its gRPC beside grpcio.

    ./dev bench peers [--models=mlp,grpc,mobilenet,text] [--servers=bentoml,…] [--seconds=3] [--rounds=3]

Needs Linux, ``wrk``, ``h2load``, about 12 GB of memory (all servers run at once, and are measured in turn) and 12 GB of
disk: each peer gets a virtual environment under ~/.cache/unstuck-bench, once. Prints every measurement and the medians,
saves the measurements as JSON lines in benchmarks/results, and writes benchmarks/RESULTS.md with its plots anew.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import loads, measuring, results_page, subjects, summary, venvs, workloads
from benchmarks.peers.subjects import Subject
from benchmarks.peers.summary import Failure, Measurement
from benchmarks.peers.workloads import WORKLOADS, Workload
from unstuck import __version__

ALSO = "measure Unstuck with further flags, too, as: --also='onnx=--engine=auto'"
REFERENCE = (
    "a server with TensorFlow Serving's API to measure besides, as: --reference='tensorflow_model_server "
    "--rest_api_port={rest_port} --port={grpc_port} --model_name={model} --model_base_path={base_path}'; "
    "{version_path} is the version's folder"
)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and the servers with it
    loads.need("wrk", "wrk")
    if "grpc" in options.models:
        loads.need("h2load", "nghttp2-client")
    for name in options.models:
        workload = WORKLOADS[name]
        chosen = _subjects(workload, options)
        lines = _run(workload, chosen, options)
        results_page.FOLDER.mkdir(exist_ok=True)
        (results_page.FOLDER / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
        results_page.write()
    print(f"Written: {results_page.PAGE}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev bench peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [subject.name for subject in subjects.peers()]
    parser.add_argument("--models", type=_among(WORKLOADS), default=list(WORKLOADS), help="a comma between them")
    parser.add_argument("--servers", type=_among(names), default=names, help="which peers, a comma between them")
    parser.add_argument("--batching", type=_among(["on", "off"]), default=["on", "off"], help="of the peers")
    parser.add_argument("--loads", type=_numbers, help="instead of each model's own connections or streams: 1,32")
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FLAGS", help=ALSO)
    parser.add_argument("--reference", metavar="COMMAND", help=REFERENCE.replace("%", "%%"))
    parser.add_argument("--reference-is", default="", metavar="TEXT", help="what the reference is, for the results")
    return parser.parse_args()


def _among(known: Sequence[str] | dict[str, Any]):
    def names(text: str) -> list[str]:
        wanted = text.split(",") if text else []
        if unknown := set(wanted) - set(known):
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(sorted(unknown))}; there is {', '.join(dict.fromkeys(known))}"
            )
        return wanted

    return names


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _subjects(workload: Workload, options: argparse.Namespace) -> list[Subject]:
    own = subjects.ours(options.also)
    further = [subjects.reference(options.reference)] if options.reference and workload.model == "mlp" else []
    if workload.is_grpc:
        return [*own, *further, subjects.grpcio()]
    chosen = [each for each in subjects.peers() if each.name in options.servers and each.batching in options.batching]
    for name in dict.fromkeys(each.name for each in chosen):
        venvs.python(name)
    return [*own, *further, *chosen]


def _run(workload: Workload, chosen: Sequence[Subject], options: argparse.Namespace) -> list[str]:
    """Measures one workload; prints as it goes, and returns JSON lines: a description of the run, what was measured."""
    questions = workloads.questions(workload.model)
    print(f"\n{workload.title}: {len(chosen)} servers", flush=True)
    about = _about(chosen, options)
    measurements: list[Measurement] = []
    lines = [summary.as_line(about)]
    with tempfile.TemporaryDirectory(prefix="unstuck-bench-") as folder:
        for each in measuring.measure(
            workload,
            chosen,
            questions,
            levels=options.loads or workload.loads,
            rounds=options.rounds,
            seconds=options.seconds,
            folder=Path(folder),
            say=lambda text: print(text, flush=True),
        ):
            lines.append(summary.as_line(each))
            print(_told(each), flush=True)
            if isinstance(each, Measurement):
                measurements.append(each)
    print(f"\n{results_page.table(workload, measurements)}\n{results_page.ratios(workload, measurements)}", flush=True)
    return lines


def _told(each: Measurement | Failure) -> str:
    name = f"{summary.label(each.server, each.batching):24}"
    if isinstance(each, Failure):
        return f"{name} FAILED: {each.reason}"
    return (
        f"{name} load {each.load:4}  {each.rate:10,.1f}/s  p50 {each.p50_ms:9.2f} ms  p99 {each.p99_ms:9.2f} ms  "
        f"{each.errors} errors  CPU {each.cpu_us:10,.1f} µs  other load {each.other_cores:.2f}"
    )


def _about(chosen: Sequence[Subject], options: argparse.Namespace) -> dict[str, Any]:
    names = [name for name in dict.fromkeys(each.name for each in chosen) if summary.is_peer(name) and name != "grpcio"]
    pinned = [line for name in names for line in venvs.versions(name)]
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {memory_gib:.0f} GiB, {platform.system()}",
        "load_average": " ".join(f"{each:.2f}" for each in os.getloadavg()),
        "versions": [f"unstuck {__version__}", f"Python {platform.python_version()}", *dict.fromkeys(pinned)],
        "reference": options.reference_is if summary.REFERENCE in [each.name for each in chosen] else "",
        "rounds": options.rounds,
        "seconds": options.seconds,
    }


def _processor() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0].partition(":")[2].strip() if models else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
