"""`unstuck diagnose` on the corpus: the quick cases one by one, all of them by their share."""

import pytest
from accuracy import outcomes
from corpus import cases
from diagnosing import diagnose

QUICK = [(case, case.given[0]) for case in cases() if case.quick]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The deployment of a case, built once."""
    known = {}

    def build(case):
        if case.name not in known:
            known[case.name] = case.build(tmp_path_factory.mktemp(case.name))
        return known[case.name]

    return build


@pytest.mark.parametrize(("case", "given"), QUICK, ids=[f"{case.name}: {', '.join(given)}" for case, given in QUICK])
def test_the_verdict_is_right_and_names_the_place(built, case, given):
    outcome = diagnose(case, built(case), given)
    assert not outcome.crashed
    assert outcome.cause == case.cause
    assert outcome.names_the_place, outcome.report.verdict.location


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_nineteen_in_twenty_verdicts_are_right_and_none_is_a_false_alarm(tmp_path):
    found = list(outcomes(tmp_path))
    wrong = [f"{each.case.name} {each.given}: {each.cause}" for each in found if not each.is_right]
    alarms = [
        f"{each.case.name} {each.given}: {each.cause}" for each in found if each.case.cause is None and each.cause
    ]
    assert not alarms
    assert len(wrong) <= 0.05 * len(found), "\n".join(wrong)
