"""``unstuck size``: its arguments, what they refuse, what it prints, writes and ends with."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from unstuck.bench.run import Question
from unstuck.cli import size
from unstuck.cli.bench_progress import Progress
from unstuck.cli.main import main
from unstuck.sizing.deciding import Batch, Measured, Needs, Trial
from unstuck.sizing.measuring import Asked, Sizing, Watcher

MIB = 1 << 20
MEASURED = Measured(1.0, 0, 200.0, 0.018, 0.0042, 0.97, 600 * MIB, 50 * MIB, 2000 * MIB, 9.0, Batch(32, 3.1))
NEEDS = Needs(2, 150.0, 0.9, 720 * MIB, 0)
PASSED = Trial(NEEDS, True, 0.019, 0.63, 0, 590 * MIB, 11.0)
MISSED = replace(PASSED, meets_target=False, p99_s=0.2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "risk" / "1").mkdir(parents=True)
    return tmp_path / "risk"


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Asked]]:
    """Makes it find what a test wants; gives what was asked."""
    asked_for: list[Asked] = []

    def set_to(*trials: Trial, is_exact: bool = True) -> list[Asked]:
        def sized(asked: Asked, watcher: Watcher) -> Sizing:
            asked_for.append(asked)
            about = {"model": "risk, version 1"}
            return Sizing(
                asked, "control groups of version 2", is_exact, about, MEASURED, trials, ["The load was high."]
            )

        monkeypatch.setattr(size, "size", sized)
        return asked_for

    return set_to


def test_what_is_asked(sizes: Callable[..., list[Asked]], model: Path) -> None:
    asked = sizes(PASSED)
    flags = ["--rate=300", "--p99=20", "--cpus=1.5", "--workers=2", "--duration=2", "--batch=4", "--api=grpc"]
    assert main(["size", str(model), *flags, "--serve-flag=--engine=auto"]) == 0
    (found,) = asked
    assert (found.path, found.rate, found.cpus, found.workers) == (str(model), 300.0, 1.5, 2)
    assert (found.api, found.flags) == ("grpc", ("--engine=auto",))
    assert found.question == Question("", (), target_p99_s=0.02, duration_s=2.0, batch=4)
    assert found.keeps_both


def test_what_is_asked_without_flags(
    sizes: Callable[..., list[Asked]], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = sizes(PASSED)
    monkeypatch.setattr(size, "usable_cpus", lambda: 4)
    main(["size", str(model), "--serve-flag=--aspired_version_policy=resource_preserving"])
    (found,) = asked
    assert (found.rate, found.cpus, found.workers, found.question.target_p99_s) == (None, 3.0, None, 0.1)
    assert not found.keeps_both


def test_it_prints_what_is_needed_and_the_manifests(
    sizes: Callable[..., list[Asked]], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes(MISSED, PASSED)
    assert main(["size", str(model), "--rate=300", "--p99=20"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = {line.split()[0]: " ".join(line.split()) for line in out.splitlines() if line and line[0] != " "}
    assert lines["replicas"].startswith(
        "replicas 2 200/s keep the 99th percentile within 20 ms on 1 CPU; each is for 80%"
    )
    assert lines["memory"].startswith("memory 720 MiB 600 MiB at most, of which 50 MiB are a second version's")
    assert lines["CPU"] == "CPU 0.9 0.63 used at that rate; the rest is for peaks"
    assert lines["batches"].startswith("batches 32 rows learned while it served")
    assert "Not enough: 0.9 CPUs, 720 MiB, 150/s: the 99th percentile was 200 ms." in out
    assert "The load was high." in out
    assert "Proven with just that: 150 requests/s, 99th percentile 19 ms, none failed, at most 590 MiB" in out
    for name in ("docker-compose.yaml", "kubernetes.yaml", "servicemonitor.yaml", "kserve.yaml"):
        assert f"\n# {name}\n" in out
    assert "cpu: 900m" in out


def test_it_writes_the_manifests(
    sizes: Callable[..., list[Asked]], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes(PASSED)
    folder = tmp_path / "new" / "folder"
    flags = [f"--write={folder}", "--image=registry.example.org/team/unstuck:7", "--claim=shared", "--name=Risk"]
    assert main(["size", str(model), *flags]) == 0
    out, err = capsys.readouterr()
    assert "# kubernetes.yaml" not in out
    assert {line.removeprefix("Written: ") for line in err.splitlines()} == {str(each) for each in folder.iterdir()}
    deployment, _, _ = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example.org/team/unstuck:7"
    assert pod["containers"][0]["command"][2] == "Risk=/models/risk"
    assert pod["volumes"][1]["persistentVolumeClaim"]["claimName"] == "shared"
    compose = yaml.safe_load((folder / "docker-compose.yaml").read_text())
    assert compose["services"]["risk"]["volumes"][0]["source"] == str(model)
    assert "# Proven with just that" in (folder / "kserve.yaml").read_text()


def test_json(sizes: Callable[..., list[Asked]], model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes(MISSED, PASSED)
    assert main(["size", str(model), "--rate=300", "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["needs"] == {"replicas": 2, "rate": 150.0, "cpus": 0.9, "memory_bytes": 720 * MIB, "workers": 0}
    assert (found["proven"], found["limits"]["exact"], found["rate"]) == (True, True, 300.0)
    assert [each["passed"] for each in found["trials"]] == [False, True]
    assert found["measured"]["batch"] == {"rows": 32, "gain": 3.1}
    assert set(found["manifests"]) == {"docker-compose.yaml", "kubernetes.yaml", "servicemonitor.yaml", "kserve.yaml"}


@pytest.mark.parametrize(
    ("trial", "says"),
    [
        (MISSED, "Not proven: the 99th percentile was 200 ms. Held by control groups of version 2."),
        (replace(PASSED, oom_kills=1), "Not proven: 720 MiB were too little memory."),
        (replace(PASSED, failed=7), "Not proven: 7 requests failed."),
        (replace(MISSED, problem="It did not start."), "Not proven: It did not start. Held"),
    ],
)
def test_what_was_not_proven_is_said(
    sizes: Callable[..., list[Asked]], model: Path, trial: Trial, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes(trial)
    assert main(["size", str(model)]) == 1
    assert says in " ".join(capsys.readouterr().out.split())


def test_an_estimate_is_said_to_be_one(
    sizes: Callable[..., list[Asked]], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes(PASSED, is_exact=False)
    assert main(["size", str(model)]) == 0
    assert "that memory suffices is an estimate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Expected one PATH, got 0."),
        (["http://host:8501/v1/models/m"], "is served already"),
        (["MODEL", "--rate=0"], "--rate=0 is malformed: expected a number above 0."),
        (["MODEL", "--workers=-1"], "--workers=-1 is malformed"),
        (["MODEL", "--format=html"], "--format=html is malformed: expected text or json."),
        (["MODEL", "--image= "], "--image=  is malformed: expected a name."),
        (["MODEL", "--serve-flag=--workers=2"], "--serve-flag=--workers is a flag of unstuck size itself."),
        (["MODEL", "--batch=2", "--requests=r.jsonl"], "--batch is for requests that are made up"),
        (["MODEL", "--rat=2"], "Did you mean --rate?"),
    ],
)
def test_what_it_refuses(arguments: list[str], says: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", *(str(model) if each == "MODEL" else each for each in arguments)]) == 2
    assert says in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(
    sizes: Callable[..., list[Asked]], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes(PASSED)
    (model / "file").write_text("")
    assert main(["size", str(model), f"--write={model / 'file'}"]) == 2
    assert "--write=" in capsys.readouterr().err


def test_interrupted(monkeypatch: pytest.MonkeyPatch, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(asked: Asked, watcher: Watcher) -> Sizing:
        raise KeyboardInterrupt

    monkeypatch.setattr(size, "size", interrupted)
    assert main(["size", str(model)]) == 130
    assert capsys.readouterr().err == "unstuck size: interrupted.\n"


def test_what_happens_between_two_loads_is_shown() -> None:
    file = StringIO()
    with Progress(Console(file=file, force_terminal=True, width=80)) as progress:
        progress.says("Trying 0.25 CPUs, 832 MiB, 300/s …")
    assert "Trying 0.25 CPUs, 832 MiB, 300/s …" in file.getvalue()


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", "--help"]) == 0
    out = capsys.readouterr().out
    assert [flag.name for flag in size.FLAGS if f"--{flag.name}" not in out and flag.name != "help"] == []
