"""What each policy does next, and that the manager's loop of them ends where it should."""

import itertools

import pytest

from unstuck.lifecycle.policies import (
    Check,
    Load,
    Phase,
    Snapshot,
    Unload,
    availability_preserving,
    resource_preserving,
)

PHASES = {
    "new": Phase.NEW,
    "checking": Phase.CHECKING,
    "checked": Phase.CHECKED,
    "loading": Phase.LOADING,
    "ready": Phase.READY,
    "unloading": Phase.UNLOADING,
    "failed": Phase.FAILED,
    "quarantined": Phase.QUARANTINED,
}


def versions(*words):
    """``"2 ready"`` is wanted; ``"-1 ready"`` is version 1, which is wanted no more."""
    made = []
    for word in words:
        number, phase = word.split()
        made.append(Snapshot(abs(int(number)), PHASES[phase], is_aspired=not number.startswith("-")))
    return made


def does(policy, *words):
    action = policy(versions(*words))
    if action is None:
        return None
    return f"{type(action).__name__.lower()} {action.target.version}"


@pytest.mark.parametrize(
    ("given", "availability", "resource"),
    [
        ([], None, None),
        (["1 new"], "load 1", "load 1"),
        (["1 new", "3 new", "2 new"], "load 3", "load 3"),
        (["1 ready"], None, None),
        (["1 failed"], None, None),
        (["-1 ready"], "unload 1", "unload 1"),
        (["-1 ready", "2 new"], "load 2", "check 2"),
        (["-1 ready", "2 checking"], None, None),
        (["-1 ready", "2 checked"], "load 2", "unload 1"),
        (["-1 unloading", "2 checked"], "load 2", None),
        (["2 checked"], "load 2", "load 2"),
        (["-1 ready", "2 checking", "3 new"], "load 3", None),
        (["-1 ready", "2 new", "3 checked"], "load 3", "unload 1"),
        (["-1 ready", "2 new", "3 new"], "load 3", "check 3"),
        (["-1 ready", "2 new", "3 failed"], "load 2", "check 2"),
        (["-1 ready", "2 quarantined"], None, None),
        (["-1 ready", "2 loading"], None, "unload 1"),
        (["-1 ready", "2 ready"], "unload 1", "unload 1"),
        (["-1 ready", "2 failed"], None, None),
        (["-1 ready", "-2 ready", "3 new"], "unload 1", "check 3"),
        (["-1 ready", "-2 ready", "3 checked"], "unload 1", "unload 1"),
        (["-2 ready", "-1 ready", "3 ready"], "unload 1", "unload 2"),
        (["-1 unloading", "2 new"], "load 2", None),
        (["-1 loading", "2 new"], "load 2", None),
        (["-1 failed", "2 new"], "load 2", "load 2"),
        (["1 ready", "2 new", "-3 ready"], "unload 3", "unload 3"),
        (["1 ready", "2 ready"], None, None),
    ],
)
def test_what_comes_next(given, availability, resource):
    assert does(availability_preserving, *given) == availability
    assert does(resource_preserving, *given) == resource


def everything():
    """Every set of up to three versions, each in every phase, wanted or not."""
    for count in range(4):
        for phases in itertools.product(Phase, repeat=count):
            for wanted in itertools.product((True, False), repeat=count):
                yield [
                    Snapshot(number + 1, phase, aspired)
                    for number, (phase, aspired) in enumerate(zip(phases, wanted, strict=True))
                ]


@pytest.mark.parametrize("policy", [availability_preserving, resource_preserving])
def test_only_new_wanted_versions_are_loaded_and_only_serving_unwanted_ones_unloaded(policy):
    for given in everything():
        action = policy(given)
        if isinstance(action, Load):
            assert action.target.phase in (Phase.NEW, Phase.CHECKED)
            assert action.target.is_aspired
        elif isinstance(action, Check):
            assert (action.target.phase, action.target.is_aspired) == (Phase.NEW, True)
        elif isinstance(action, Unload):
            assert (action.target.phase, action.target.is_aspired) == (Phase.READY, False)


def test_the_last_version_that_serves_goes_only_when_another_serves_or_none_is_wanted():
    for given in everything():
        serving = [each for each in given if each.phase is Phase.READY]
        wanted = [each for each in given if each.is_aspired]
        if len(serving) == 1 and wanted and not serving[0].is_aspired:
            assert not isinstance(availability_preserving(given), Unload), given


def test_to_preserve_resources_nothing_is_loaded_beside_what_is_not_wanted():
    for given in everything():
        if isinstance(resource_preserving(given), Load):
            held = (Phase.NEW, Phase.LOADING, Phase.READY, Phase.UNLOADING)
            assert not [each for each in given if not each.is_aspired and each.phase in held], given


def test_to_preserve_resources_nothing_goes_before_something_that_is_wanted_is_known_to_fit():
    for given in everything():
        if isinstance(resource_preserving(given), Unload):
            wanted = {each.phase for each in given if each.is_aspired}
            assert not wanted or wanted & {Phase.CHECKED, Phase.LOADING, Phase.READY}, given
