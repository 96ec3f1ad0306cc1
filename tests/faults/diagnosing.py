"""Runs `unstuck diagnose` on a case of the corpus, as its user would, and says whether the verdict is right."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from corpus.case import Case, Deployment

from unstuck.doctor.findings import Report
from unstuck.doctor.lab import Question
from unstuck.doctor.run import collect, decide


@dataclass(frozen=True)
class Outcome:
    """One diagnosis of a case, with one subset of its evidence."""

    case: Case
    given: tuple[str, ...]
    report: Report
    seconds: float
    crashed: tuple[str, ...] = ()

    @property
    def cause(self) -> str | None:
        return self.report.verdict.cause if self.report.verdict else None

    @property
    def is_right(self) -> bool:
        return self.cause == self.case.cause

    @property
    def names_the_place(self) -> bool:
        verdict = self.report.verdict
        place = verdict.location.model_dump() if verdict else {}
        return all(text in (place[field] or "") for field, texts in self.case.location.items() for text in texts)


def diagnose(case: Case, deployment: Deployment, given: tuple[str, ...]) -> Outcome:
    """The case diagnosed with the evidence ``given``."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        told = {name: getattr(deployment, name) for name in given if name not in ("target", "model")}
        if "target" in given:
            assert deployment.serve is not None
            told["target"] = stack.enter_context(deployment.serve())
        if "model" in given:
            assert deployment.model is not None
            told["versions"] = versions(deployment.model)
            told["model"] = _asked_for(told["versions"], told.get("target", ""))
        question = Question(signature=deployment.signature, **told)
        found = collect(question)
        report = decide(found)
    crashed = tuple(why for why in found.values() if isinstance(why, str) and " crashed: " in why)
    return Outcome(case, given, report, time.monotonic() - began, crashed)


def versions(model: Path) -> dict[int, Path]:
    """The versions of a base path; a version's own folder, or a file, is the only one."""
    if model.is_file() or (model / "saved_model.pb").exists() or (model / "model.onnx").exists():
        return {int(model.name) if model.name.isdigit() else 1: model}
    found = {int(each.name): each for each in model.iterdir() if each.name.isdigit()}
    return found or {1: model}


def _asked_for(known: dict[int, Path], target: str) -> Path:
    parts = target.rstrip("/").split("/")
    if "versions" in parts and int(parts[-1]) in known:
        return known[int(parts[-1])]
    return known[max(known)]
