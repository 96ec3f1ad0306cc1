import re

import pytest
from fakes import FakeLoader

from unstuck.core.models import ModelSpec, State
from unstuck.errors import LoadFailed, NotFound, NotReady, SetupError, UnknownLabel
from unstuck.lifecycle.manager import Manager


def states(manager, name="m"):
    return {each.version: each.state for each in manager.status(name)}


@pytest.fixture
def manager():
    return Manager(lambda servable: frozenset({f"proven {servable}"}))


def load(manager, name="m", version=1, servable="a servable"):
    loader = FakeLoader(servable)
    manager.load(name, version, lambda: loader)
    return loader


def test_a_version_goes_from_start_through_loading_to_available(manager):
    manager.aspire("m", 1)
    assert states(manager) == {1: State.START}
    seen = []

    def loader_of():
        seen.append(states(manager))
        return FakeLoader("a servable")

    assert not manager.ready
    manager.load("m", 1, loader_of)
    assert seen == [{1: State.LOADING}]
    assert states(manager) == {1: State.AVAILABLE}
    found = manager.find(ModelSpec("m"))
    assert (found.name, found.version, found.servable) == ("m", 1, "a servable")
    assert found.mergeable == {"proven a servable"}
    assert manager.ready


def test_the_newest_available_version_answers_unless_one_is_named(manager):
    for version in (3, 10, 9):
        load(manager, version=version, servable=f"servable {version}")
    manager.aspire("m", 11)
    assert manager.find(ModelSpec("m")).servable == "servable 10"
    assert manager.find(ModelSpec("m", 3)).servable == "servable 3"


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        (
            ModelSpec("halfplus"),
            NotFound,
            "model 'halfplus'; the models served are 'broken', 'half_plus', 'loading'. Did",
        ),
        (ModelSpec("halfplus"), NotFound, "Did you mean 'half_plus'?"),
        (ModelSpec("xyz", 3), NotFound, "model 'xyz'; the models served are"),
        (
            ModelSpec("half_plus", 9),
            NotFound,
            "model 'half_plus' version 9; its versions are 2 (AVAILABLE), 1 (AVAILABLE).",
        ),
        (ModelSpec("loading"), NotReady, "Model 'loading' version 4 is not available yet: it is START."),
        (ModelSpec("loading", 4), NotReady, "version 4 is not available yet"),
        (ModelSpec("loading", 5), NotFound, "its versions are 4 (START)"),
        (
            ModelSpec("broken"),
            NotFound,
            "model 'broken' version 6 has ended: Model 'broken' version 6 cannot be served: ",
        ),
        (ModelSpec("broken", 6), NotFound, "the file is cut off"),
        (ModelSpec("half_plus", label="stable"), UnknownLabel, "label 'stable' of model 'half_plus'"),
        (ModelSpec("xyz", label="stable"), UnknownLabel, "label 'stable' of model 'xyz'"),
    ],
)
def test_a_version_that_does_not_serve(manager, spec, error, says):
    for version in (1, 2):
        load(manager, "half_plus", version)
    manager.aspire("loading", 4)
    with pytest.raises(LoadFailed):
        load(manager, "broken", 6, LoadFailed("the file is cut off"))
    with pytest.raises(error, match=re.escape(says)):
        manager.find(spec)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (LoadFailed("no graph", hint="export again"), "Model 'm' version 1 cannot be served: no graph export again"),
        (SetupError("no TensorFlow"), "Model 'm' version 1 cannot be served: no TensorFlow"),
        (ValueError("odd"), "Model 'm' version 1 cannot be served: ValueError('odd')"),
        (MemoryError(), "Model 'm' version 1 cannot be served: MemoryError()"),
    ],
)
def test_a_failing_load_ends_its_version_and_says_why(manager, failure, says):
    load(manager, "other")
    manager.aspire("m", 1)
    with pytest.raises(SetupError) as caught:
        load(manager, servable=failure)
    assert str(caught.value) == says
    (status,) = manager.status("m")
    assert (status.state, status.error) == (State.END, caught.value)
    assert not manager.ready, "every model must serve"
    assert manager.find(ModelSpec("other")), "the others do"


def test_a_failing_proof_fails_the_load():
    def fail(servable):
        raise ValueError("odd")

    manager = Manager(fail)
    with pytest.raises(LoadFailed, match="odd"):
        load(manager)
    assert states(manager) == {1: State.END}


def test_a_failing_newer_version_leaves_the_older_serving(manager):
    load(manager, version=1)
    with pytest.raises(LoadFailed):
        load(manager, version=2, servable=LoadFailed("broken"))
    assert manager.find(ModelSpec("m")).version == 1
    assert manager.ready


@pytest.mark.parametrize(("version", "says"), [(None, "Did you mean 'half_plus'?"), (5, "Did you mean 'half_plus'?")])
def test_status_of_an_unknown_model(manager, version, says):
    manager.aspire("half_plus", 1)
    with pytest.raises(NotFound, match=re.escape(says)):
        manager.status("half_plis", version)


def test_status_of_one_version(manager):
    load(manager, version=1)
    manager.aspire("m", 2)
    assert [(each.version, each.state) for each in manager.status("m", 2)] == [(2, State.START)]
    assert manager.statuses()["m"] == manager.status("m")
    with pytest.raises(NotFound, match="version 3"):
        manager.status("m", 3)


def test_nothing_to_serve_is_not_ready(manager):
    assert not manager.ready
    assert manager.available() == []


def test_unloading_gives_everything_back_once(manager):
    loaders = [load(manager, version=version) for version in (1, 2)]
    assert [each.version for each in manager.available()] == [1, 2]
    manager.unload_all()
    manager.unload_all()
    assert [loader.unloaded for loader in loaders] == [1, 1]
    assert manager.available() == []


def test_a_lookup_keeps_what_it_found_while_others_load(manager):
    load(manager, version=1)
    found = manager.find(ModelSpec("m"))
    load(manager, version=2)
    assert found.version == 1
