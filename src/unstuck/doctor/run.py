"""A whole diagnosis: collect and experiment, decide, explain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from unstuck.data import DataError
from unstuck.doctor.check import all_checks
from unstuck.doctor.evidence.base import Evidence, Found, NotRun
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.experiments.catalogue import experiments
from unstuck.doctor.explain import unexplained, unloadable, verdict
from unstuck.doctor.findings import Report
from unstuck.doctor.lab import Lab, Question
from unstuck.errors import SetupError, UnknownSignature, UnstuckError


def collect(question: Question, progress: Callable[[str], None] = lambda text: None) -> Found:
    """Runs every experiment that can be run; by kind, the evidence, or why there is none.

    Raises:
        DataError: the training data cannot be read.
        UnknownSignature: there is none of the name that was asked for.
    """
    known = experiments()
    lab = Lab(question, known, progress)
    try:
        _refuse_what_cannot_be_meant(lab)
        return {kind: _tried(lab, kind) for kind in known}
    finally:
        lab.close()


def _refuse_what_cannot_be_meant(lab: Lab) -> None:
    """What else cannot be opened is for the experiments to say."""
    try:
        _ = lab.signature
        _ = lab.training
    except DataError:
        raise
    except UnknownSignature:
        if lab.question.signature:
            raise
    except (NotRun, UnstuckError):
        pass


def _tried(lab: Lab, kind: type[Evidence]) -> "Evidence | str":
    try:
        return lab.find(kind)
    except NotRun as why:
        return str(why)
    except Exception as error:  # noqa: BLE001 - one experiment's bug must not end the diagnosis
        return f"{kind.__name__} crashed: {error!r}"


def decide(found: Found) -> Report:
    """The report on the evidence: every check's findings, and the verdict. Pure."""
    checks = all_checks()
    findings = [finding for check in checks for finding in check.run(found)]
    reached = verdict(findings, {check.cause: check.explains for check in checks}, constant=unexplained(found))
    reached = reached or unloadable(found)
    asked = found.get(Subject)
    asked = asked if isinstance(asked, Subject) else Subject()
    return Report(
        schema=1,
        target=asked.target or None,
        model=asked.model or None,
        signature=asked.signature or None,
        healthy=reached is None,
        verdict=reached,
        findings=findings,
    )


def save(found: Found, path: Path) -> None:
    """Writes the evidence to a file, from which ``read`` gives it again.

    Raises:
        SetupError: the file cannot be written.
    """
    document: dict[str, Any] = {
        kind.__name__: each if isinstance(each, str) else orjson.loads(each.model_dump_json())
        for kind, each in found.items()
    }
    try:
        path.write_bytes(orjson.dumps({"schema": 1, "evidence": document}, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror or error}.") from None


def read(path: Path) -> Found:
    """The evidence that ``save`` wrote.

    Raises:
        SetupError: no such file, or not of this form.
    """
    kinds = {kind.__name__: kind for kind in experiments()}
    try:
        document = orjson.loads(path.read_bytes())["evidence"]
        return {
            kinds[name]: each if isinstance(each, str) else kinds[name].model_validate(each)
            for name, each in document.items()
        }
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{path} is not evidence that --save-evidence wrote: {_first_line(error)}.") from None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}, {str(error).splitlines()[0] if str(error) else 'no message'}"
