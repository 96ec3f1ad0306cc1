import asyncio
from typing import Any

import pytest

from unstuck.errors import Code, NotReady, UnstuckError
from unstuck.supervisor import messages
from unstuck.supervisor.configuration import IN_FORCE, SharedConfiguration
from unstuck.supervisor.messages import Told
from unstuck.supervisor.worker import Worker

REFUSED = Told("The label is not there.", code=Code.FAILED_PRECONDITION, kind="SetupError")
UNAVAILABLE = Told("1 model did not become available.", code=Code.UNKNOWN, kind=IN_FORCE)
OLD, NEW = {"text": "old"}, {"text": "new"}


class Process:
    """Takes every configuration, but for what ``outcomes`` says of some."""

    def __init__(self, outcomes: dict[str, UnstuckError]) -> None:
        self.outcomes = outcomes
        self.had: list[dict[str, str]] = []
        self.killed = False

    async def ask(self, what: str, value: Any) -> None:
        assert what == "change"
        await asyncio.sleep(0)
        self.had.append(value)
        if error := self.outcomes.get(value["text"]):
            raise error

    def send_signal(self, number: int) -> None:
        self.killed = True


def worker(number: int, outcomes: dict[str, UnstuckError] | None = None, *, listens: bool = True) -> Any:
    made = Worker(number)
    made.begins(Process(outcomes or {}), 0, listens=listens)  # type: ignore[arg-type]
    return made


def change(*workers: Any, to: dict[str, str] = NEW) -> SharedConfiguration:
    async def scenario() -> SharedConfiguration:
        shared = SharedConfiguration(OLD, lambda: workers)
        try:
            await shared.change(to)
        except UnstuckError as error:
            error.shared = shared  # type: ignore[attr-defined]
            raise
        return shared

    return asyncio.run(scenario())


def test_all_have_it_before_the_call_answers():
    workers = worker(1), worker(2)
    shared = change(*workers)
    assert shared.current == NEW
    assert [each.process.had for each in workers] == [[NEW], [NEW]]
    assert {each.generation for each in workers} == {shared.generation}


def test_what_one_refuses_none_has():
    good, bad = worker(1), worker(2, {"new": REFUSED})
    with pytest.raises(Told, match=r"not there. \(Of 2 workers, worker 2 said so.\)") as raised:
        change(good, bad)
    assert raised.value.code is Code.FAILED_PRECONDITION
    assert raised.value.shared.current == OLD
    assert good.process.had == [NEW, OLD]
    assert bad.process.had == [NEW]


def test_what_all_refuse_is_said_as_one_server_would():
    with pytest.raises(Told) as raised:
        change(worker(1, {"new": REFUSED}), worker(2, {"new": REFUSED}))
    assert raised.value.message == REFUSED.message


def test_who_cannot_go_back_is_replaced():
    stubborn = worker(1, {"old": REFUSED})
    with pytest.raises(Told):
        change(stubborn, worker(2, {"new": REFUSED}))
    assert stubborn.process.killed
    assert "could not be set back" in stubborn.why_killed


def test_a_model_that_does_not_load_is_an_error_of_a_configuration_in_force():
    workers = worker(1), worker(2, {"new": UNAVAILABLE})
    with pytest.raises(Told, match="worker 2 said so") as raised:
        change(*workers)
    assert raised.value.shared.current == NEW
    assert workers[0].process.had == [NEW]


def test_one_that_dies_meanwhile_does_not_keep_the_others_from_it():
    assert change(worker(1), worker(2, {"new": messages.gone()})).current == NEW


def test_if_all_die_meanwhile_nothing_has_changed():
    with pytest.raises(Told, match="ended before it answered") as raised:
        change(worker(1, {"new": messages.gone()}))
    assert raised.value.code is NotReady.code
    assert raised.value.shared.current == OLD


def test_one_that_does_not_take_calls_yet_takes_it_over_before_it_does():
    late = worker(2, listens=False)

    async def scenario() -> None:
        shared = SharedConfiguration(OLD, lambda: [worker(1), late])
        await shared.change(NEW)
        assert late.process.had == []
        await shared.admit(late)
        assert late.process.had == [NEW]
        assert late.listens
        late.listens = False
        await shared.admit(late)
        assert late.process.had == [NEW], "it has it already"

    asyncio.run(scenario())


def test_nobody_is_let_in_while_it_changes():
    slow, late = worker(1), worker(2, listens=False)

    async def scenario() -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def ask(what: str, value: Any) -> None:
            begun.set()
            await may_end.wait()

        slow.process.ask = ask
        shared = SharedConfiguration(OLD, lambda: [slow, late])
        changing = asyncio.create_task(shared.change(NEW))
        await begun.wait()
        admitting = asyncio.create_task(shared.admit(late))
        await asyncio.sleep(0.01)
        assert not late.listens
        may_end.set()
        await asyncio.gather(changing, admitting)
        assert late.process.had == [NEW]

    asyncio.run(scenario())


class Obedient:
    """Does all that it is asked; ``had`` keeps it."""

    def __init__(self) -> None:
        self.had: list[Any] = []

    async def ask(self, what: str, value: Any) -> None:
        self.had.append((what, value))


def obedient(number: int, *, listens: bool = True) -> Any:
    made = Worker(number)
    made.begins(Obedient(), 0, listens=listens)  # type: ignore[arg-type]
    return made


HELD = {"model": "m", "version": 1, "reason": "it drifts"}
RELEASED = {**HELD, "reason": None}


def test_a_quarantine_is_in_force_in_all_workers_and_in_those_that_come_later():
    workers, late = [obedient(1), obedient(2)], obedient(3, listens=False)

    async def scenario() -> None:
        shared = SharedConfiguration(OLD, lambda: [*workers, late])
        await shared.quarantine(HELD)
        assert [each.process.had for each in workers] == [[("quarantine", [HELD])]] * 2
        assert not late.process.had
        await shared.admit(late)
        assert late.listens
        assert late.process.had == [("quarantine", [HELD])]

    asyncio.run(scenario())


def test_one_that_was_ended_is_not_handed_on():
    late = obedient(2, listens=False)

    async def scenario() -> None:
        shared = SharedConfiguration(OLD, lambda: [obedient(1), late])
        await shared.quarantine(HELD)
        await shared.quarantine(RELEASED)
        await shared.admit(late)
        assert not late.process.had

    asyncio.run(scenario())
