"""What ``unstuck status`` says of models that refuse calls."""

import pytest

from unstuck.cli.troubles import notes_of, troubles_of

REFUSED = {"requests": 0, "bytes": 0, "wait": 1234, "deadline": 2, "memory": 0}


def status(limited_by, refused=REFUSED):
    gate = {"limit": 18, "limited_by": limited_by, "refused": refused}
    version = {"state": "AVAILABLE", "error": ""}
    return {"server": None, "models": {"m": {"admission": gate, "problem": "", "versions": {"1": version}}}}


@pytest.mark.parametrize(
    ("limited_by", "why"), [("wait", "as others would wait too long"), ("memory", "as memory is short")]
)
def test_a_model_that_refuses_calls_is_a_trouble(limited_by, why):
    (trouble,) = troubles_of(status(limited_by), of_one_model=False)
    assert trouble.model == "m"
    assert trouble.what == f"refuses calls beyond 18 in flight, {why}; refused so far: 1,234 (wait), 2 (deadline)"
    assert trouble.advice
    assert notes_of(status(limited_by)) == []


def test_one_that_did_is_worth_knowing_and_one_that_never_did_is_not():
    assert troubles_of(status("requests"), of_one_model=False) == []
    (note,) = notes_of(status("requests"))
    assert (note.model, note.what) == ("m", "calls were refused so far: 1,234 (wait), 2 (deadline)")
    assert notes_of(status("requests", dict.fromkeys(REFUSED, 0))) == []
