"""The check kit: what a check is written with.

A check is a generator in ``checks/<stage>/<cause>.py``, whose path is the cause's code. The types of its parameters say
what evidence it needs (``trace: VariationTrace``); of one that may be missing, ``trace: VariationTrace | None``. It is
pure: evidence in, outcomes out.

    @check(explains=("model/saturated-activation",))
    def missing_normalization(profile: ProfileComparison, trace: VariationTrace | None) -> Iterator[Outcome]:
        yield Fault(why=…, evidence={…}, fix=…, location=Location(input="x"), confidence=0.9)

The module's docstring is the check's page: What it finds / Why it happens / How it decides / How to fix it / When it is
wrong. ``CASES`` at its bottom holds a case that fires, a healthy one and a near miss.
"""

import importlib
import pkgutil
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from unstuck.doctor.evidence.base import Evidence
from unstuck.doctor.findings import CAUSES, Finding, Location, Status

__all__ = ["Case", "Check", "Fault", "Location", "NotTested", "Outcome", "RuledOut", "Suspect", "all_checks", "check"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The evidence proves the cause."""

    why: str
    evidence: Mapping[str, Any]
    fix: str
    confidence: float
    location: Location = field(default_factory=Location)


@dataclass(frozen=True, slots=True)
class Suspect:
    """The evidence points to the cause, and does not prove it."""

    why: str
    evidence: Mapping[str, Any]
    fix: str
    confidence: float
    location: Location = field(default_factory=Location)


@dataclass(frozen=True, slots=True)
class RuledOut:
    """The evidence speaks against the cause."""

    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class NotTested:
    """There is not enough evidence to say anything."""

    why: str


Outcome = Fault | Suspect | RuledOut | NotTested
Decide = Callable[..., Iterator[Outcome]]
_STATUS: dict[type, Status] = {
    Fault: "fault", Suspect: "suspect", RuledOut: "ruled-out", NotTested: "not-tested",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """An example of what a check decides; run by the tests, shown on the check's page.

    Attributes:
        name: what it is about.
        evidence: what the check is given; a kind that it needs and that is not here is missing.
        status: what it must say.
    """

    name: str
    evidence: tuple[Evidence, ...]
    status: Status


@dataclass(frozen=True, slots=True)
class Check:
    """One cause's check.

    Attributes:
        cause: the code.
        decide: the generator.
        explains: the causes that are only symptoms of this one.
        needs: its parameters' kinds of evidence, by name.
        optional: the parameters that may be None.
    """

    cause: str
    decide: Decide
    explains: tuple[str, ...]
    needs: Mapping[str, type[Evidence]]
    optional: frozenset[str]

    @property
    def name(self) -> str:
        return self.decide.__name__.replace("_", "-")

    @property
    def page(self) -> str:
        """The page of the check: its module's docstring."""
        return (importlib.import_module(self.decide.__module__).__doc__ or "").strip()

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(getattr(importlib.import_module(self.decide.__module__), "CASES", ()))

    def run(self, evidence: Mapping[type[Evidence], Evidence | str]) -> list[Finding]:
        """What the check says; at least one finding.

        Args:
            evidence: by kind, the evidence, or why there is none.
        """
        given = {name: evidence.get(kind, "it was not collected") for name, kind in self.needs.items()}
        for name, each in given.items():
            if isinstance(each, str) and name not in self.optional:
                return [self._finding(NotTested(each))]
        arguments = {name: None if isinstance(each, str) else each for name, each in given.items()}
        try:
            outcomes = list(self.decide(**arguments))
            found = [self._finding(outcome) for outcome in outcomes]
        except Exception as error:  # noqa: BLE001 - one check's bug must not end the diagnosis
            return [self._finding(NotTested(f"crashed: {error!r}"))]
        return found or [self._finding(NotTested("the evidence says nothing about it"))]

    def _finding(self, outcome: Outcome) -> Finding:
        said: dict[str, Any] = {"why": outcome.why}
        if not isinstance(outcome, NotTested):
            said["evidence"] = dict(outcome.evidence)
        if isinstance(outcome, Fault | Suspect):
            said |= {"fix": outcome.fix, "confidence": outcome.confidence, "location": outcome.location}
        return Finding(check=self.name, cause=self.cause, status=_STATUS[type(outcome)], **said)


def check(*, explains: tuple[str, ...] = ()) -> Callable[[Decide], Check]:
    """Makes a check of a generator function; ``explains`` names the causes that are only its symptoms."""

    def made(function: Decide) -> Check:
        stage, name = function.__module__.split(".")[-2:]
        cause = f"{stage}/{name.replace('_', '-')}"
        assert cause in CAUSES, f"{function.__module__} is at the path of no cause"
        assert set(explains) <= set(CAUSES), f"{cause} explains what is no cause"
        kinds = {each: kind for each, kind in get_type_hints(function).items() if each != "return"}
        optional = frozenset(each for each, kind in kinds.items() if get_origin(kind) in (Union, types.UnionType))
        needs = {each: get_args(kind)[0] if each in optional else kind for each, kind in kinds.items()}
        return Check(cause, function, explains, needs, optional)

    return made


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check, in the order of the causes."""
    from unstuck.doctor import checks

    found: list[Check] = []
    for module in pkgutil.walk_packages(checks.__path__, f"{checks.__name__}."):
        contents = vars(importlib.import_module(module.name)).values()
        found.extend(each for each in contents if isinstance(each, Check))
    return tuple(sorted(found, key=lambda each: CAUSES.index(each.cause)))
