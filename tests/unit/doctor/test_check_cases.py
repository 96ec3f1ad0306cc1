"""Every check decides its own cases as it says, and has a page that explains it."""

import pytest

from unstuck.doctor.check import Case, Check, all_checks
from unstuck.doctor.findings import CAUSES

SECTIONS = ("What it finds", "Why it happens", "How it decides", "How to fix it", "When it is wrong")
CHECKS = [pytest.param(check, id=check.cause) for check in all_checks()]
CASES = [pytest.param(check, case, id=f"{check.cause}: {case.name}") for check in all_checks() for case in check.cases]


def test_every_cause_has_one_check() -> None:
    assert [check.cause for check in all_checks()] == list(CAUSES)


@pytest.mark.parametrize(("check", "case"), CASES)
def test_a_case_is_decided_as_it_says(check: Check, case: Case) -> None:
    given = {type(each): each for each in case.evidence}
    assert len(given) == len(case.evidence), "two pieces of evidence of one kind"
    unused = set(given) - set(check.needs.values())
    assert not unused, f"the check does not take {unused}"
    findings = check.run(given)
    assert not any("crashed" in finding.why for finding in findings), findings
    statuses = {finding.status for finding in findings}
    assert case.status in statuses, [(finding.status, finding.why) for finding in findings]
    if case.status != "fault":
        assert "fault" not in statuses, [finding.why for finding in findings]


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_has_cases_that_fire_and_that_do_not(check: Check) -> None:
    statuses = [case.status for case in check.cases]
    assert len(statuses) >= 3
    assert "fault" in statuses
    assert set(statuses) - {"fault"}
    names = [case.name for case in check.cases]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_is_explained(check: Check) -> None:
    lines = check.page.splitlines()
    assert lines[0].endswith((".", ":")), "the first line says what is true, as a sentence"
    places = [lines.index(section) for section in SECTIONS]
    assert places == sorted(places)
    for start, end in zip(places, [*places[1:], len(lines)], strict=True):
        assert any(line.startswith("    ") for line in lines[start + 1 : end]), lines[start]


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_never_says_that_it_is_and_is_not(check: Check) -> None:
    for case in check.cases:
        statuses = {finding.status for finding in check.run({type(each): each for each in case.evidence})}
        assert not {"fault", "ruled-out"} <= statuses, case.name


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_without_evidence_tests_nothing(check: Check) -> None:
    (finding,) = check.run(dict.fromkeys(check.needs.values(), "nothing was given"))
    assert finding.status == "not-tested"
    assert "crashed" not in finding.why
    assert finding.why


@pytest.mark.parametrize("check", CHECKS)
def test_what_a_check_explains_is_not_itself(check: Check) -> None:
    assert check.cause not in check.explains
