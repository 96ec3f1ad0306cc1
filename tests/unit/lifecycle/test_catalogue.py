"""Changes of what is served, with a manager that loads nothing."""

from types import SimpleNamespace

import pytest

from unstuck.core.models import Latest, ModelConfig, ModelSpec, State
from unstuck.errors import Code, InvalidRequest, LoadFailed, ModelsUnavailable, NotFound, SetupError
from unstuck.lifecycle.catalogue import Catalogue
from unstuck.lifecycle.harness import Accepted
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.polling import Source


@pytest.fixture
def broken():
    return set()


@pytest.fixture
def manager(broken):
    def loader_of(name, found):
        def load():
            if name in broken:
                raise LoadFailed("cut off")
            return f"{name} {found.version}"

        return SimpleNamespace(load=load, unload=lambda: None)

    manager = Manager(loader_of, lambda name, found, servable: Accepted())
    yield manager
    manager.stop()


@pytest.fixture
def catalogue(manager):
    return Catalogue(manager, Source(manager, lambda path: False, 0), allow_unavailable_labels=False)


@pytest.fixture
def model(tmp_path):
    """``model(name, versions…, **settings)``: a model with these folders."""

    def of(name, *versions, **settings):
        for version in versions:
            (tmp_path / name / str(version)).mkdir(parents=True, exist_ok=True)
        return ModelConfig(name, tmp_path / name, **settings)

    return of


def test_a_reload_returns_once_what_is_new_is_available(catalogue, manager, model):
    catalogue.reload([model("a", 1)])
    assert manager.find(ModelSpec("a")).version == 1
    catalogue.reload([model("a", 1), model("b", 4, 5, versions=Latest(2))])
    assert manager.find(ModelSpec("b")).version == 5
    assert manager.find(ModelSpec("b", 4)).version == 4
    catalogue.reload([model("b", 5, 6)])
    manager.wait_until_settled(["b"])
    assert manager.find(ModelSpec("b")).version == 6
    with pytest.raises(NotFound):
        manager.find(ModelSpec("a"))


def test_labels_of_what_is_there_are_given_with_the_reload(catalogue, manager, model):
    catalogue.reload([model("a", 1, 2, versions=Latest(2))])
    catalogue.reload([model("a", 1, 2, versions=Latest(2), labels={"stable": 1})])
    assert manager.find(ModelSpec("a", label="stable")).version == 1


def test_a_refused_reload_changes_nothing(catalogue, manager, model):
    catalogue.reload([model("a", 1, platform="tensorflow")])
    for refused, error in (
        ([model("b", 1), model("a", 1, platform="tensorflow", labels={"stable": 7})], SetupError),
        ([model("b", 1), model("a", 1, platform="onnx")], InvalidRequest),
    ):
        with pytest.raises(error):
            catalogue.reload(refused)
        assert [each.name for each in catalogue.models] == ["a"]
        assert list(manager.statuses()) == ["a"]


def test_new_models_that_cannot_be_served_are_named_and_the_others_serve(catalogue, manager, model, broken):
    broken.add("b")
    catalogue.reload([model("a", 1)])
    with pytest.raises(ModelsUnavailable) as caught:
        catalogue.reload([model("b", 1), model("c", 1), model("d")])
    assert caught.value.code is Code.UNKNOWN
    assert "2 model(s) did not become available: 'b': Model 'b' version 1 cannot be served: cut off" in str(
        caught.value
    )
    assert "'d': " in str(caught.value)
    assert "d is not a folder" in str(caught.value)
    assert manager.find(ModelSpec("c")).version == 1
    assert manager.status("b", 1)[0].state is State.END
    catalogue.reload([model("b", 1), model("c", 1), model("d")])  # nothing is new: nothing is waited for


def test_labels_that_are_in_force_elsewhere_may_come_before_their_versions(catalogue, manager, model):
    labelled = model("a", 1, labels={"stable": 1})
    with pytest.raises(SetupError, match="not available"):
        catalogue.set_models([labelled])
    catalogue.set_models([labelled], is_proven=True)
    catalogue._source.poll()
    manager.wait_until_settled(["a"])
    assert manager.find(ModelSpec("a", label="stable")).version == 1
