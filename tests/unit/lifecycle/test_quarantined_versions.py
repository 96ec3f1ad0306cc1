"""Versions that are taken out of service and loaded again: lookups, states, readiness, memory."""

import threading

import pytest
from test_manager import Models

from unstuck.core.models import ModelSpec, State
from unstuck.errors import Code, LoadFailed, NotFound, Quarantined


@pytest.fixture
def models(tmp_path):
    made = Models(tmp_path)
    yield made
    for door in made.doors.values():
        door.set()
    made.manager.stop(0)


def why(version=1, kind="canary", name="m"):
    return Quarantined(name, version, kind, "output 'y': expected 3, got 4")


def condemn(models, version=1):
    models.manager.quarantine(why(version), models.manager.find(ModelSpec("m", version)))


def rests(models, version=1):
    """Whether it is out of service, and nothing of it is loaded."""
    return models.states()[version] is State.END and isinstance(models.error(version=version), Quarantined)


def test_requests_for_a_version_in_quarantine_are_told_why(models):
    models.serve("m", 1)
    condemn(models)
    for spec in (ModelSpec("m"), ModelSpec("m", 1)):
        with pytest.raises(
            Quarantined, match=r"Model 'm' version 1 is in quarantine since .*, canary: .* got 4"
        ) as told:
            models.manager.find(spec)
        assert told.value.code is Code.UNAVAILABLE
        assert told.value.http_status == 503


def test_it_is_unloaded_and_waits_to_be_loaded_again(models):
    models.serve("m", 1)
    condemn(models)
    models.until(lambda: rests(models))
    assert models.unloads == [("m", 1)]
    assert models.loads == [("m", 1)]
    assert models.changes[-2:] == [("m", 1, State.UNLOADING), ("m", 1, State.END)]
    models.manager.load_again("m", 1)
    models.until(lambda: models.states() == {1: State.AVAILABLE})
    assert models.loads == [("m", 1)] * 2
    assert models.manager.find(ModelSpec("m")).version == 1
    assert models.error() is None


def test_the_server_is_not_ready_meanwhile(models):
    models.serve("m", 1)
    models.serve("n", 1)
    condemn(models)
    assert not models.manager.ready
    assert models.manager.quarantined == {("m", 1)}
    assert models.manager.find(ModelSpec("n")).name == "n"
    models.until(lambda: rests(models))
    models.manager.load_again("m", 1)
    models.until(lambda: models.manager.ready)
    assert not models.manager.quarantined


def test_no_other_version_answers_in_its_place_unless_it_is_named(models):
    models.serve("m", 1, 2)
    condemn(models, 2)
    with pytest.raises(Quarantined, match=r"version 2 is in quarantine.*Version 1 serves whoever names it\."):
        models.manager.find(ModelSpec("m"))
    assert models.manager.find(ModelSpec("m", 1)).version == 1
    models.until(lambda: rests(models, 2))
    models.manager.load_again("m", 2)
    models.until(lambda: models.states()[2] is State.AVAILABLE)
    assert models.manager.find(ModelSpec("m")).version == 2


def test_the_newest_answers_while_an_older_one_is_in_quarantine(models):
    models.serve("m", 1, 2)
    condemn(models, 1)
    assert models.manager.find(ModelSpec("m")).version == 2
    with pytest.raises(Quarantined):
        models.manager.find(ModelSpec("m", 1))


def test_a_newer_version_takes_over(models):
    models.serve("m", 1)
    condemn(models)
    models.until(lambda: rests(models))
    models.serve("m", 2)
    assert models.manager.find(ModelSpec("m")).version == 2
    assert models.manager.ready
    with pytest.raises(NotFound):
        models.manager.find(ModelSpec("m", 1))


def test_a_version_whose_files_are_gone_is_in_quarantine_no_more(models):
    models.serve("m", 1, 2)
    condemn(models, 1)
    models.until(lambda: rests(models, 1))
    models.serve("m", 2)
    assert models.states() == {1: State.END, 2: State.AVAILABLE}
    assert models.error(version=1) is None
    assert models.manager.ready


def test_one_that_cannot_be_loaded_again_stays_there_and_says_so(models):
    models.serve("m", 1)
    condemn(models)
    models.until(lambda: rests(models))
    models.outcomes["m", 1] = LoadFailed("4 of 4 golden rows fail.", may_pass=True)
    for attempts in (1, 2):
        models.manager.load_again("m", 1)
        models.until(lambda attempts=attempts: rests(models) and models.error().attempts == attempts)
    with pytest.raises(Quarantined, match=r"loaded again 2 times, in vain: Model 'm' .*: 4 of 4 golden rows fail\."):
        models.manager.find(ModelSpec("m"))


def test_one_that_is_loaded_again_says_so_until_it_serves(models):
    models.serve("m", 1)
    condemn(models)
    models.until(lambda: rests(models))
    models.doors["m", 1] = threading.Event()
    models.manager.load_again("m", 1)
    models.until(lambda: models.states() == {1: State.LOADING})
    assert not models.manager.ready
    with pytest.raises(Quarantined):
        models.manager.find(ModelSpec("m"))


def test_a_copy_that_serves_no_more_condemns_no_later_one(models):
    models.serve("m", 1)
    old = models.manager.find(ModelSpec("m"))
    condemn(models)
    leftover, old = old, None
    assert not rests(models), "somebody still holds it"
    del leftover
    models.until(lambda: rests(models))
    models.manager.load_again("m", 1)
    models.until(lambda: models.manager.ready)
    models.manager.quarantine(why(), copy=object())  # type: ignore[arg-type]
    assert models.manager.ready


def test_its_last_call_is_waited_for(models):
    models.serve("m", 1)
    held = models.manager.find(ModelSpec("m"))
    condemn(models)
    models.manager.load_again("m", 1)
    assert models.states() == {1: State.UNLOADING}
    assert models.unloads == []
    del held
    models.until(lambda: rests(models))


# An operator's


def test_an_operator_holds_back_what_serves_until_it_is_released(models):
    models.serve("m", 1)
    models.manager.quarantine(why(kind="operator"))
    with pytest.raises(Quarantined, match="unstuck quarantine URL m --version=1 --release"):
        models.manager.find(ModelSpec("m"))
    models.until(lambda: rests(models))
    models.manager.load_again("m", 1)
    assert rests(models)
    models.manager.release("m", 1)
    models.until(lambda: models.manager.ready)


def test_and_what_is_still_loading(models):
    models.doors["m", 1] = threading.Event()
    models.want("m", 1)
    models.until(lambda: models.states() == {1: State.LOADING})
    models.manager.quarantine(why(kind="operator"))
    models.doors["m", 1].set()
    models.until(lambda: rests(models))
    assert models.unloads == [("m", 1)]
    assert ("m", 1, State.AVAILABLE) not in models.changes


def test_and_what_comes_later(models):
    models.manager.quarantine(why(kind="operator"))
    models.want("m", 1)
    models.manager.wait_until_settled(["m"])
    assert rests(models)
    assert not models.loads
    assert not models.manager.ready
    models.manager.release("m", 1)
    models.until(lambda: models.manager.ready)


def test_and_what_failed_to_load(models):
    models.outcomes["m", 1] = LoadFailed("broken")
    models.serve("m", 1)
    models.manager.quarantine(why(kind="operator"))
    assert rests(models)
    models.outcomes.clear()
    models.manager.release("m", 1)
    models.until(lambda: models.manager.ready)


def test_what_was_released_before_it_had_loaded_serves(models):
    models.doors["m", 1] = threading.Event()
    models.want("m", 1)
    models.until(lambda: models.states() == {1: State.LOADING})
    models.manager.quarantine(why(kind="operator"))
    models.manager.release("m", 1)
    models.doors["m", 1].set()
    models.until(lambda: models.manager.ready)


def test_stopping_ends_what_is_in_quarantine(models):
    models.serve("m", 1)
    condemn(models)
    models.until(lambda: rests(models))
    models.manager.stop(1)
    models.manager.release("m", 1)
    assert models.loads == [("m", 1)]
