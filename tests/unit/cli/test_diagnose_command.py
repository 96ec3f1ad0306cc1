"""``unstuck diagnose`` and ``unstuck explain``: their arguments, what they refuse, what they end with."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unstuck.cli import diagnose
from unstuck.cli.main import main
from unstuck.config import flags
from unstuck.core.models import State, VersionStatus
from unstuck.doctor import run as doctor
from unstuck.doctor.endpoint import Endpoint
from unstuck.doctor.evidence.base import Found
from unstuck.doctor.evidence.samples import ALIVE, DEAD
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.findings import CAUSES, Finding, Location, Report, Verdict
from unstuck.doctor.lab import Question
from unstuck.errors import InputNames, UnstuckError, WrongShape, WrongType
from unstuck.proto.tfrecord import framed

SICK: Found = {Subject: Subject(model="/m/1", signature="s"), VariationTrace: DEAD}
WELL: Found = {Subject: Subject(model="/m/1", signature="s"), VariationTrace: ALIVE}
PIPELINE = "schema: 1\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base path with the versions 1, 2 and 10."""
    for version in ("1", "2", "10"):
        (tmp_path / "m" / version).mkdir(parents=True)
        (tmp_path / "m" / version / "saved_model.pb").touch()
    return tmp_path / "m"


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Callable[[Found], list[Question]]:
    """Makes the experiments find what a test wants; gives the questions that were asked."""
    asked: list[Question] = []

    def set_to(found: Found) -> list[Question]:
        def collect(question: Question, progress: Callable[[str], None]) -> Found:
            asked.append(question)
            progress("EndpointAnswers")
            return found

        monkeypatch.setattr(doctor, "collect", collect)
        return asked

    return set_to


def asked(*arguments: Any) -> Question:
    return diagnose.question(flags.parse([str(each) for each in arguments], diagnose.FLAGS))


def test_every_argument_arrives(base: Path, tmp_path: Path) -> None:
    for name in ("r.jsonl", "g.jsonl", "t.csv", "log", "p.yaml"):
        (tmp_path / name).write_text('{"instances": [1]}\n\n')
    found = asked(
        *("http://h:8501/v1/models/m", "--model", base, f"--requests={tmp_path / 'r.jsonl'}"),
        *("--training-data", tmp_path / "t.csv", "--golden", tmp_path / "g.jsonl", "--signature", "tags"),
        *("--server-log", tmp_path / "log", "--cgroup", tmp_path, "--timeout", "7.5", "--load"),
        *("--pipeline_file", tmp_path / "p.yaml", "--saved_model_tags", "serve,tpu"),
    )
    assert found == Question(
        target="http://h:8501/v1/models/m",
        model=base / "10",
        versions={1: base / "1", 2: base / "2", 10: base / "10"},
        requests=tmp_path / "r.jsonl",
        training_data=tmp_path / "t.csv",
        golden=tmp_path / "g.jsonl",
        server_log=tmp_path / "log",
        cgroup=tmp_path,
        signature="tags",
        timeout_s=7.5,
        load=True,
        pipeline_file=tmp_path / "p.yaml",
        tags=("serve", "tpu"),
    )


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("", 10),
        ("http://h:1/v1/models/m", 10),
        ("http://h:1/v1/models/m/versions/2", 2),
        ("grpc://h:1/m/versions/1", 1),
    ],
)
def test_of_a_base_path_the_version_that_target_asks_for(base: Path, target: str, version: int) -> None:
    assert asked(*filter(None, [target]), "--model", base).model == base / str(version)


def test_a_label_is_asked_of_the_endpoint(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("http://h:1/v1/models/m/labels/stable", "--model", base)
    monkeypatch.setattr(Endpoint, "status", lambda self: [VersionStatus(2, State.AVAILABLE)])
    assert asked(*arguments).model == base / "2"

    def fails(_self: Endpoint) -> None:
        raise UnstuckError("nobody is there")

    monkeypatch.setattr(Endpoint, "status", fails)
    assert asked(*arguments).model == base / "10"


def test_a_version_s_folder_and_an_onnx_file_are_themselves(base: Path, tmp_path: Path) -> None:
    assert asked("--model", base / "2").versions == {2: base / "2"}
    assert asked("http://h:1/v1/models/m/versions/7", "--model", base / "2").model == base / "2"
    (tmp_path / "net.onnx").touch()
    assert asked("--model", tmp_path / "net.onnx").model == tmp_path / "net.onnx"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Expected a TARGET, --model, or both."),
        (["a", "b"], "Expected one TARGET, got a, b."),
        (["localhost:8501"], "localhost:8501 is not a served model's URL."),
        (["http://h:1/v1/models/m", "--model={tmp}/none"], "--model={tmp}/none does not exist."),
        (["--model={tmp}/text"], "--model={tmp}/text is neither a SavedModel's folder nor an .onnx file."),
        (["--model={tmp}/empty"], "{tmp}/empty has no version folders"),
        (["--model={tmp}/hollow"], "--model={tmp}/hollow: version 3 holds no model: no saved_model.pb"),
        (
            ["http://h:1/v1/models/m/versions/5", "--model={tmp}/m"],
            "TARGET asks for version 5; --model has the versions 1,",
        ),
        (["--model={tmp}/m", "--requests={tmp}/none"], "--requests={tmp}/none does not exist."),
        (["--model={tmp}/m", "--golden={tmp}/empty"], "--golden={tmp}/empty is not a file."),
        (["--model={tmp}/m", "--cgroup={tmp}/text"], "--cgroup={tmp}/text is not a folder."),
        (["--model={tmp}/m", "--requests={tmp}/text"], "--requests={tmp}/text, line 2: it is not JSON"),
        (["--model={tmp}/m", "--golden={tmp}/list"], "--golden={tmp}/list, line 1: expected a JSON object."),
        (["--model={tmp}/m", "--requests={tmp}/blank"], "--requests={tmp}/blank is empty."),
        (["--model={tmp}/m", "--timeout=0"], "--timeout=0 is malformed: expected a number of seconds above 0."),
        (["--model={tmp}/m", "--format=xml"], "--format=xml is malformed: expected text, json or html."),
        (["--model={tmp}/m", "--golde=x"], "Unknown flag --golde. Did you mean --golden?"),
        (["--model={tmp}/m", "--output={tmp}/no/r.html"], "--output={tmp}/no/r.html: there is no folder {tmp}/no."),
        (["--model={tmp}/m", "--apply-pipeline={tmp}/text"], "--apply-pipeline={tmp}/text is there already."),
        (["--evidence={tmp}/none"], "{tmp}/none cannot be read: No such file or directory."),
        (["--evidence={tmp}/text", "--model={tmp}/m"], "--evidence decides from the file alone. Leave out --model."),
        (["--evidence={tmp}/text"], "{tmp}/text is not evidence that --save-evidence wrote"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_2(
    arguments: list[str], says: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = base.parent
    (folder / "text").write_text('{"instances": []}\nnothing')
    (folder / "list").write_text("[1]")
    (folder / "blank").write_text("\n\n")
    (folder / "empty").mkdir()
    (folder / "hollow" / "3").mkdir(parents=True)
    assert main(["diagnose", *(each.format(tmp=folder) for each in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"unstuck diagnose: {says.format(tmp=folder)}")
    assert "Traceback" not in err


def test_logged_bytes_are_for_their_reader_to_judge(base: Path, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\x10\0\0\0\0\0\0\0\n\xff")
    assert asked("--model", base, "--requests", tmp_path / "log").requests == tmp_path / "log"


@pytest.mark.parametrize(("found", "status"), [(SICK, 1), (WELL, 0)])
def test_the_exit_status_tells_faults_from_health(
    found: Found, status: int, base: Path, finds: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    finds(found)
    assert main(["diagnose", "--model", str(base)]) == status
    out, err = capsys.readouterr()
    assert out.startswith("✗ model/dead-activation" if status else "✓ No fault was found.")
    assert err == ""


def test_nothing_tested_is_not_health(base: Path, finds: Any, capsys: pytest.CaptureFixture[str]) -> None:
    finds({VariationTrace: "the inside of onnx models cannot be watched"})
    assert main(["diagnose", "--model", str(base)]) == 2
    assert "unstuck diagnose: Nothing could be tested: " in capsys.readouterr().err


def test_a_crash_does_not_end_as_a_fault_does(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(_question: Question, _progress: object) -> Found:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "collect", crash)
    assert main(["diagnose", "--model", str(base)]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_ctrl_c_ends_quietly(base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_question: Question, _progress: object) -> Found:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "collect", interrupt)
    assert main(["diagnose", "--model", str(base)]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_request_log_is_told_from_lines_of_text(base: Path, tmp_path: Path) -> None:
    for size in (5, 10, 266):  # the length, which comes first, begins with the byte that ends a line
        (tmp_path / "log.tfrecord").write_bytes(framed(b"x" * size))
        assert asked("--model", base, f"--requests={tmp_path / 'log.tfrecord'}").requests == tmp_path / "log.tfrecord"


def test_golden_rows_beside_the_model_are_taken_where_none_are_given(base: Path, tmp_path: Path) -> None:
    assert asked("--model", base).golden is None
    beside = base / "10" / "assets.extra" / "unstuck" / "golden.jsonl"
    beside.parent.mkdir(parents=True)
    beside.write_text("")
    assert asked("--model", base).golden == beside
    other = tmp_path / "other.jsonl"
    other.write_text('{"inputs": {}, "outputs": {}}')
    assert asked("--model", base, f"--golden={other}").golden == other


@pytest.mark.parametrize(("form", "begins"), [("text", "✗ "), ("json", "{\n"), ("html", "<!doctype html>")])
def test_the_report_goes_to_a_file(
    form: str, begins: str, base: Path, finds: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finds(SICK)
    file = tmp_path / "report"
    assert main(["diagnose", "--model", str(base), "--format", form, "--output", str(file)]) == 1
    assert file.read_text(encoding="utf-8").startswith(begins)
    assert capsys.readouterr() == ("", f"The report is in {file}.\n")


def test_evidence_is_saved_and_decided_again_alike(
    base: Path, finds: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finds(SICK)
    file = str(tmp_path / "evidence.json")
    assert main(["diagnose", "--model", str(base), "--format=json", "--save-evidence", file]) == 1
    first = capsys.readouterr().out
    assert main(["diagnose", "--evidence", file, "--format=json"]) == 1
    assert capsys.readouterr().out == first
    assert json.loads(first)["model"] == "/m/1"
    assert json.loads(first)["signature"] == "s"


@pytest.fixture
def repairable(monkeypatch: pytest.MonkeyPatch, finds: Any) -> None:
    """A fault whose fix is a pipeline."""
    place = Location(input="x")
    cause = "preprocessing/missing-normalization"
    finding = Finding(
        check="c", cause=cause, status="fault", evidence={"pipeline": PIPELINE}, why="w", location=place, fix="f",
        confidence=0.9,
    )  # fmt: skip
    verdict = Verdict(cause=cause, stage="preprocessing", confidence=0.9, summary="w", location=place, fix="f")
    report = Report(
        schema=1, target=None, model="/m", signature="s", healthy=False, verdict=verdict, findings=[finding]
    )
    finds(SICK)
    monkeypatch.setattr(doctor, "decide", lambda found: report)


@pytest.mark.usefixtures("repairable")
def test_the_pipeline_is_written_once(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pipeline.yaml"
    command = ["diagnose", "--model", str(base), f"--apply-pipeline={file}"]
    assert main(command) == 1
    assert file.read_text() == PIPELINE
    assert f"The pipeline is in {file}" in capsys.readouterr().err
    file.write_text("mine")
    assert main(command) == 2
    assert file.read_text() == "mine"
    assert main([*command, "--force"]) == 1
    assert file.read_text() == PIPELINE


@pytest.mark.parametrize(
    ("found", "why"), [(SICK, "as the fix of model/dead-activation is not one"), (WELL, "as no fault was found")]
)
def test_no_pipeline_is_written_where_it_is_no_fix(
    found: Found, why: str, base: Path, finds: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finds(found)
    main(["diagnose", "--model", str(base), f"--apply-pipeline={tmp_path / 'p.yaml'}"])
    assert f"--apply-pipeline: no pipeline was written, {why}." in capsys.readouterr().err
    assert not (tmp_path / "p.yaml").exists()


def test_explain_lists_every_cause_with_what_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    out = capsys.readouterr().out
    for cause in CAUSES:
        assert f"  {cause} " in out
    assert "no check yet" not in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("cause", ["model/dead-activation", "dead-activation", "model/dead_activation"])
def test_explain_shows_a_page_and_its_cases(cause: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", cause]) == 0
    out = capsys.readouterr().out
    assert out.startswith("model/dead-activation\n=====================\n")
    for section in ("What it finds", "How it decides", "How to fix it", "When it is wrong", "Examples"):
        assert f"\n{section}\n" in out
    assert ": is a fault\n" in out


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        ("swaped-features", "There is no cause 'swaped-features'. Did you mean 'mapping/swapped-features'?"),
        ("zzz", "There is no cause 'zzz'. unstuck explain lists all of them."),
    ],
)
def test_explain_of_no_cause(cause: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", cause]) == 2
    assert capsys.readouterr() == ("", f"unstuck explain: {says}\n")


@pytest.mark.parametrize("error", [InputNames, WrongType, WrongShape])
def test_explain_of_a_refused_request(error: type[UnstuckError], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", error.cause]) == 0
    assert capsys.readouterr().out.startswith(f"{error.cause}: The request was refused")


def test_explain_of_a_stage_lists_its_causes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mapping"]) == 0
    out = capsys.readouterr().out
    assert "\n  mapping/wrong-layout " in out
    assert "model/" not in out


def test_explain_of_what_no_check_proves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "unknown"]) == 0
    assert capsys.readouterr().out.startswith("unknown: the answers to varied inputs are the same")


def test_the_documented_causes_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--markdown"]) == 0
    documented = Path(__file__).parents[3] / "docs" / "causes.md"
    assert documented.read_text(encoding="utf-8") == capsys.readouterr().out, (
        "run: unstuck explain --markdown > docs/causes.md"
    )


@pytest.mark.parametrize("command", ["diagnose", "explain"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: unstuck {command} ")
    if command == "diagnose":
        missing = [flag.name for flag in diagnose.FLAGS if f"--{flag.name}" not in out and flag.name != "help"]
        assert not missing


def test_neither_imports_a_framework() -> None:
    code = (
        "import sys; from unstuck.cli.main import main; import unstuck.cli.diagnose; main(['explain']); "
        "main(['explain', 'non-finite']); assert not {'tensorflow', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_a_reader_that_has_seen_enough() -> None:
    command = f"set -o pipefail; {sys.executable} -m unstuck explain --markdown | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("# ")
    assert done.stderr == ""
