import pytest

from unstuck.doctor.check import Check
from unstuck.doctor.checks.mapping.batch_broadcast import batch_broadcast
from unstuck.doctor.checks.resources.crosstalk import crosstalk
from unstuck.doctor.checks.resources.memory_limit import memory_limit
from unstuck.doctor.checks.resources.not_serving import not_serving
from unstuck.doctor.checks.resources.overload import overload
from unstuck.doctor.checks.resources.stale_response import stale_response
from unstuck.doctor.evidence.answers import CallOutcome, EndpointAnswers, EndpointState
from unstuck.doctor.evidence.probes import ConcurrencyProbe, Mixed, RepeatProbe
from unstuck.doctor.evidence.server_state import Cgroup, LogFacts, ServerState

CHECKS = (batch_broadcast, crosstalk, memory_limit, not_serving, overload, stale_response)
GIB = 1 << 30


def said(check: Check, *evidence):
    return check.run({type(each): each for each in evidence})[0]


@pytest.mark.parametrize(
    ("check", "case"), [(check, case) for check in CHECKS for case in check.cases], ids=lambda each: each.name
)
def test_the_cases_of_its_page(check, case):
    assert said(check, *case.evidence).status == case.status


@pytest.mark.parametrize("check", CHECKS, ids=lambda each: each.name)
def test_every_status_is_among_its_cases_and_its_page_is_whole(check):
    assert {"fault", "ruled-out"} <= {case.status for case in check.cases}
    for section in ("What it finds", "Why it happens", "How it decides", "How to fix it", "When it is wrong"):
        assert f"\n{section}\n" in check.page


@pytest.mark.parametrize("check", CHECKS, ids=lambda each: each.name)
def test_nothing_given_is_not_tested(check):
    assert check.run({})[0].status == "not-tested"


def test_a_kill_long_before_the_limit_was_raised_is_a_suspicion():
    raised = Cgroup(version=2, memory_limit=2 * GIB, memory_peak=GIB, oom_kills=1)
    assert said(memory_limit, ServerState(cgroup=raised)).status == "suspect"


def test_a_limit_below_the_model_matters_only_where_it_does_not_serve():
    small = ServerState(cgroup=Cgroup(version=2, memory_limit=GIB), model_bytes=2 * GIB)
    serves = _state("OK")
    assert said(memory_limit, small).status == "fault"
    assert said(memory_limit, small, serves).status == "ruled-out"


def test_memory_that_ran_out_in_calls():
    told = {"OOM when allocating tensor with shape[24,12,4096]": 7}
    answers = EndpointAnswers(source="requests", asked=39, failed={"RESOURCE_EXHAUSTED": 7}, messages=told)
    finding = said(memory_limit, answers)
    assert finding.status == "fault"
    assert finding.evidence["calls_out_of_memory"] == 7


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (LogFacts(lines=9, counts={"killed": 1}), "suspect"),
        (LogFacts(lines=9, counts={"killed": 1}, unfinished_loads=1), "fault"),
        (LogFacts(lines=9, counts={"killed": 4}), "fault"),
        (LogFacts(lines=9, counts={"large_allocation": 4}), "ruled-out"),
        (LogFacts(lines=9, counts={"oom_tensor": 1}, last_load="loaded"), "suspect"),
        (LogFacts(lines=9, counts={"oom_kill": 1}), "fault"),
    ],
)
def test_memory_in_the_log(facts, status):
    assert said(memory_limit, ServerState(log=facts)).status == status


def test_missing_memory_explains_a_server_that_is_down():
    assert "resources/not-serving" in memory_limit.explains


def test_calls_that_fail_now_and_then_one_by_one():
    answers = EndpointAnswers(
        source="requests", asked=40, failed={"UNAVAILABLE": 20}, retried=5, failed_twice=2, messages={"no upstream": 20}
    )
    assert said(not_serving, _state("OK"), answers).status == "fault"
    assert said(not_serving, _state("OK"), answers.model_copy(update={"failed_twice": 5})).status == "ruled-out"


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_calls_that_are_all_refused_for_want_of_credentials_are_not_served(code: str):
    found = said(not_serving, _state(code))
    assert found.status == "fault"
    assert "credentials" in found.fix
    state = _state("OK")
    status = state.calls[0].model_copy(update={"what": "status", "code": code})
    assert said(not_serving, state.model_copy(update={"calls": [status, *state.calls]})).status == "ruled-out"


def test_throttling_alone_is_a_suspicion_and_with_refused_calls_a_fault():
    throttled = Cgroup(version=2, cpus=0.2, periods=1000, throttled_periods=900)
    assert said(overload, ServerState(cgroup=throttled)).status == "suspect"
    log = LogFacts(lines=99, counts={"deadline": 12}, examples={"deadline": "Deadline exceeded"})
    assert said(overload, ServerState(cgroup=throttled, log=log)).status == "fault"
    calm = throttled.model_copy(update={"throttled_periods": 100})
    assert said(overload, ServerState(cgroup=calm)).status == "not-tested"


def test_failures_that_calls_alone_meet_as_well_are_no_overload():
    rounds = [Mixed(threads=8, calls=32, failed={"UNAVAILABLE": 8})]
    probe = ConcurrencyProbe(requests=6, alone_calls=32, alone_failed=8, alone_median_s=0.01, rounds=rounds)
    assert said(overload, probe).status != "fault"


def test_an_endpoint_that_replays_one_by_one_has_no_crosstalk():
    rounds = [Mixed(threads=8, calls=32, wrong=20, others=20, swapped_with=6)]
    probe = ConcurrencyProbe(requests=6, alone_calls=32, alone_failed=0, alone_median_s=0.01, rounds=rounds)
    stale = RepeatProbe(inputs=9, calls=45, distinct=8, inconsistent=7)
    assert said(crosstalk, probe).status == "fault"
    assert said(crosstalk, probe, stale).status == "ruled-out"


def test_one_answer_for_all_says_nothing_of_replays():
    assert said(stale_response, RepeatProbe(inputs=9, calls=45, distinct=1, inconsistent=0)).status == "not-tested"
    first = RepeatProbe(inputs=9, calls=45, distinct=1, inconsistent=0, constant_is_first=True)
    assert said(stale_response, first).status == "fault"


def _state(code: str) -> EndpointState:
    call = CallOutcome(what="predict", code=code, status=200, seconds=0.01)
    return EndpointState(url="http://h/v1/models/m", model="m", is_reachable=True, calls=[call])
