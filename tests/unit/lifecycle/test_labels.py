import pytest

from unstuck.errors import SetupError
from unstuck.lifecycle.labels import check_labels

AVAILABLE = {("m", 1), ("m", 2)}


def refused(new, old, *, allow):
    try:
        check_labels({"m": new}, {"m": old}, lambda *version: version in AVAILABLE, allow_unavailable=allow)
    except SetupError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("new", "old", "is_refused", "is_refused_if_allowed"),
    [
        ({}, {}, False, False),
        ({"a": 1}, {}, False, False),
        ({"a": 2}, {"a": 1}, False, False),
        ({"a": 3}, {}, True, False),
        ({"a": 3}, {"a": 3}, True, False),
        ({"a": 3}, {"b": 1}, True, False),
        ({"a": 3}, {"a": 1}, True, True),
        ({"a": 3}, {"a": 4}, True, True),
        ({"a": 1, "b": 3}, {}, True, False),
        ({}, {"a": 1}, False, False),
    ],
)
def test_a_label_is_given_to_what_serves(new, old, is_refused, is_refused_if_allowed):
    assert bool(refused(new, old, allow=False)) == is_refused
    assert bool(refused(new, old, allow=True)) == is_refused_if_allowed


def test_a_refusal_says_which_label_and_the_way_out():
    says = refused({"stable": 9}, {}, allow=False)
    assert "'stable' cannot be given to version 9 of model 'm', which is not available." in says
    assert "--allow_version_labels_for_unavailable_models" in says
    says = refused({"stable": 9}, {"stable": 1}, allow=True)
    assert "not available and now means version 1" in says
    assert "moves only to a version that is AVAILABLE" in says
