"""``unstuck bench``: its arguments, what they refuse, what it ends with."""

import json
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from unstuck.bench.histogram import Histogram
from unstuck.bench.load import ClosedLoop, OpenLoop
from unstuck.bench.results import Level, Results
from unstuck.bench.run import Question, Watcher
from unstuck.bench.tally import Tally, Window
from unstuck.cli import bench
from unstuck.cli.bench_progress import Progress
from unstuck.cli.main import main

URL = "http://host:8501/v1/models/m"


def level(load: ClosedLoop | OpenLoop, errors: int = 0) -> Level:
    tally = Tally(seconds=1.0, in_time=2000, latencies=Histogram([0.002] * 2000))
    tally.errors["HTTP 503"] += errors
    return Level(load, tally)


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch) -> Callable[[Results], list[Question]]:
    """Makes the measurement find what a test wants; gives the questions that were asked."""
    asked: list[Question] = []

    def set_to(results: Results) -> list[Question]:
        def measure(question: Question, watcher: Watcher) -> Results:
            asked.append(question)
            return results

        monkeypatch.setattr(bench, "measure", measure)
        return asked

    return set_to


FINE = Results({"target": URL}, [level(ClosedLoop(4))])


def test_what_is_asked(measures: Callable[[Results], list[Question]]) -> None:
    asked = measures(FINE)
    flags = ["--rate=10,20.5", "--concurrency=1,8", "--arrivals=constant", "--target-p99=20", "--duration=3"]
    assert main(["bench", URL, *flags, "--warmup=0", "--batch=7", "--processes=2", "--signature=s"]) == 0
    (question,) = asked
    loads = (ClosedLoop(1), ClosedLoop(8), OpenLoop(10.0, "constant"), OpenLoop(20.5, "constant"))
    assert question.loads == loads
    assert (question.url, question.target_p99_s, question.duration_s, question.warmup_s) == (URL, 0.02, 3.0, 0.0)
    assert (question.batch, question.processes, question.signature) == (7, 2, "s")
    assert question.diagnosis == f"unstuck diagnose {URL}"


def test_what_is_asked_without_flags(measures: Callable[[Results], list[Question]]) -> None:
    asked = measures(FINE)
    main(["bench", URL])
    main(["bench", URL, "--target-p99=20"])
    assert [question.loads for question in asked] == [(ClosedLoop(1), ClosedLoop(4), ClosedLoop(16)), ()]


def test_the_diagnosis_gets_the_requests(measures: Callable[[Results], list[Question]], tmp_path: Path) -> None:
    asked = measures(FINE)
    main(["bench", URL, f"--requests={tmp_path / 'a b.jsonl'}"])
    assert asked[0].diagnosis == f"unstuck diagnose {URL} --requests='{tmp_path / 'a b.jsonl'}'"


@pytest.mark.parametrize(
    ("results", "status"),
    [
        (FINE, 0),
        (Results({}, [level(ClosedLoop(4), errors=1)]), 1),
        (Results({}, [level(ClosedLoop(4))], is_interrupted=True), 130),
    ],
)
def test_the_exit_status(
    results: Results, status: int, measures: Callable[[Results], list[Question]], capsys: pytest.CaptureFixture[str]
) -> None:
    measures(results)
    assert main(["bench", URL]) == status
    assert "4 at a time" in capsys.readouterr().out


@pytest.mark.parametrize(("form", "begins"), [("text", "target"), ("json", "{"), ("html", "<!doctype html>")])
def test_the_forms(
    form: str, begins: str, measures: Callable[[Results], list[Question]], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    measures(FINE)
    file = tmp_path / "report"
    assert main(["bench", URL, f"--format={form}", f"--output={file}"]) == 0
    assert file.read_text().startswith(begins)
    assert capsys.readouterr() == ("", f"The report is in {file}.\n")
    assert main(["bench", URL, f"--format={form}"]) == 0
    assert capsys.readouterr().out == file.read_text()
    assert form != "json" or json.loads(file.read_text())["fine"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Expected one URL or PATH, got 0."),
        ([URL, URL], "Expected one URL or PATH, got 2."),
        ([URL, "--concurency=1"], "Unknown flag --concurency. Did you mean --concurrency?"),
        ([URL, "--concurrency=0"], "--concurrency=0 is malformed: expected a number above 0."),
        ([URL, "--rate=10,-1"], "--rate=10,-1 is malformed: expected a number above 0."),
        ([URL, "--rate=nan"], "--rate=nan is malformed: expected a number above 0."),
        ([URL, "--duration=x"], "--duration=x is malformed: expected a number above 0."),
        ([URL, "--arrivals=often"], "--arrivals=often is malformed: expected poisson or constant."),
        ([URL, "--format=pdf"], "--format=pdf is malformed: expected text, json or html."),
        ([URL, "--api=grpc"], f"--api is for a PATH; {URL} is served already."),
        ([URL, "--batch=2", "--requests=/r"], "--batch is for requests that are made up"),
        ([URL, "--output=/no/such/folder/r"], "--output=/no/such/folder/r: there is no folder /no/such/folder."),
        ([URL, "--cert-file=/c"], "cert_file and key_file belong together"),
        (["/no/such/model"], "/no/such/model does not exist, and is no URL of a served model either."),
        (["http://host:8501"], "http://host:8501 is not a served model's URL. Expected http(s)://HOST:PORT/v1/models"),
    ],
)
def test_what_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"unstuck bench: {says}")


def test_the_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    out = capsys.readouterr().out
    assert [flag.name for flag in bench.FLAGS if f"--{flag.name}" not in out and flag.name != "help"] == []
    assert max(map(len, out.splitlines())) <= 120


def test_the_progress() -> None:
    seen = StringIO()
    with Progress(Console(file=seen, force_terminal=True, width=120, highlight=False)) as progress:
        progress.begins(ClosedLoop(4), 5.0)
        progress.window(0, Window(0.0, 0.5, Histogram([0.002] * 100), failed=1))
        progress.window(1, Window(0.0, 0.5, Histogram([0.004] * 300)))
        progress.ended(level(ClosedLoop(4), errors=3))
    text = seen.getvalue()
    assert "4 at a time: 0.5 of 5 s   800 answers/s   p50 4 ms   p99 4 ms   1 failed" in text
    assert "4 at a time: 2,000 answers/s, p99 2 ms, 3 failed" in text


def test_it_imports_no_framework_and_no_server() -> None:
    heavy = "{'tensorflow', 'onnxruntime', 'granian', 'pygrpc_native', 'unstuck.server', 'unstuck.doctor'}"
    script = f"import unstuck.cli.bench, sys; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
