"""Evidence survives its file, and what cannot be done is told, not thrown."""

import math
from pathlib import Path

import pytest

from unstuck.doctor import run
from unstuck.doctor.evidence.answers import EndpointAnswers, OutputAnswers
from unstuck.doctor.evidence.base import Evidence, Found, NotRun
from unstuck.doctor.evidence.model_graph import ModelGraph
from unstuck.doctor.evidence.samples import DEAD, NAN
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.findings import CAUSES, UNKNOWN
from unstuck.doctor.lab import Lab, Question
from unstuck.doctor.report import as_json
from unstuck.errors import SetupError

SUBJECT = Subject(target="http://h:1/v1/models/m", model="/m/1", signature="tags", given=["target", "model"])


def answers(**values: float) -> EndpointAnswers:
    return EndpointAnswers(
        source="requests",
        asked=2,
        outputs=[OutputAnswers(output="y", rows=2, distinct_inputs=2, distinct=2, **values)],  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("trace", [DEAD, NAN])
def test_the_same_report_from_saved_evidence(trace: VariationTrace, tmp_path: Path) -> None:
    found: Found = {Subject: SUBJECT, VariationTrace: trace, EndpointAnswers: "no TARGET was given"}
    run.save(found, tmp_path / "evidence.json")
    again = run.read(tmp_path / "evidence.json")
    assert again == found
    assert as_json(run.decide(again)) == as_json(run.decide(found))


def test_numbers_that_json_does_not_know_survive(tmp_path: Path) -> None:
    run.save(
        {EndpointAnswers: answers(lowest=float("-inf"), highest=float("inf"), spread=float("nan"))}, tmp_path / "e"
    )
    (again,) = run.read(tmp_path / "e").values()
    assert isinstance(again, EndpointAnswers)
    (output,) = again.outputs
    assert (output.lowest, output.highest) == (float("-inf"), float("inf"))
    assert math.isnan(output.spread)


def test_a_report_says_what_it_is_about_and_of_every_cause() -> None:
    report = run.decide({Subject: SUBJECT})
    assert (report.target, report.model, report.signature) == ("http://h:1/v1/models/m", "/m/1", "tags")
    assert list(dict.fromkeys(finding.cause for finding in report.findings)) == list(CAUSES)
    assert {finding.status for finding in report.findings} == {"not-tested"}
    assert run.decide({}).target is None


def test_a_model_that_cannot_be_loaded_is_no_healthy_one() -> None:
    broken = ModelGraph(signature="", load_error="/m/1 has no variables.")
    reached = run.decide({ModelGraph: broken}).verdict
    assert reached is not None
    assert reached.cause == UNKNOWN
    assert reached.summary == "The model cannot be loaded: /m/1 has no variables."
    assert run.decide({ModelGraph: broken, EndpointAnswers: answers(lowest=0.1)}).healthy, "it may be this machine"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"evidence": 1}',
        '{"evidence": {"Nothing": "why"}}',
        '{"evidence": {"Subject": {"no": 1}}}',
        "\0",
    ],
)
def test_what_is_no_evidence_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(content)
    with pytest.raises(SetupError, match=r"e\.json is not evidence that --save-evidence wrote"):
        run.read(tmp_path / "e.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read: No such file"):
        run.read(tmp_path / "none.json")
    with pytest.raises(SetupError, match="cannot be written: No such file"):
        run.save({}, tmp_path / "no" / "folder.json")


def test_an_experiment_that_crashes_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_lab: Lab) -> Evidence:
        raise ZeroDivisionError("of one")

    def cannot(_lab: Lab) -> Evidence:
        raise NotRun("no TARGET was given")

    known = {VariationTrace: crash, EndpointAnswers: cannot, Subject: lambda _lab: SUBJECT}
    monkeypatch.setattr(run, "experiments", lambda: known)
    steps: list[str] = []
    found = run.collect(Question(target="http://127.0.0.1:9/v1/models/m"), steps.append)
    assert found[VariationTrace] == "VariationTrace crashed: ZeroDivisionError('of one')"
    assert found[EndpointAnswers] == "no TARGET was given"
    assert found[Subject] == SUBJECT
    assert steps == ["VariationTrace", "EndpointAnswers", "Subject"]
