"""The JSON report has the documented shape, whatever the evidence holds."""

import json
from typing import Any

import numpy as np
import pytest
from made_up_reports import FAULTY, HEALTHY, REST, fault, report

from unstuck.doctor.findings import Location
from unstuck.doctor.report import as_json


def read(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_fault_in_the_documented_shape() -> None:
    found = read(as_json(FAULTY))
    assert list(found) == ["schema", "target", "model", "signature", "healthy", "verdict", "findings"]
    assert found["schema"] == 1
    assert found["healthy"] is False
    assert list(found["verdict"]) == ["cause", "stage", "confidence", "summary", "location", "fix"]
    assert found["verdict"]["stage"] == "model"
    assert found["verdict"]["location"] == {
        "input": None,
        "feature": None,
        "node": "relu",
        "layer": "relu",
        "signature": None,
        "output": None,
        "version": None,
    }
    assert all(set(each) == {"check", "cause", "status", "evidence", "why"} for each in found["findings"])
    assert [each["cause"] for each in found["findings"]] == ["model/dead-activation", *(each.cause for each in REST)]
    assert found["findings"][0]["evidence"] == {
        "zeros": 1.0,
        "spread_of_what_it_takes": 1.7751,
        "rows": 1200,
        "shares": {"a": 0.5},
    }


def test_a_healthy_one_has_no_verdict() -> None:
    found = read(as_json(HEALTHY))
    assert found["healthy"] is True
    assert found["verdict"] is None
    assert found["model"] is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), None),
        (float("inf"), None),
        ([1.0, float("-inf")], [1.0, None]),
        (np.float32("nan"), None),
        (np.float32(0.5), 0.5),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.bool_(True), True),
        (2**70, 2**70),
        ((1, "ü"), [1, "ü"]),
        ({3: {"x": float("nan")}}, {"3": {"x": None}}),
        (b"\xff", str(b"\xff")),
        ("\ud800", "?"),
    ],
)
def test_evidence_of_any_type_is_valid(value: object, written: object) -> None:
    found = read(as_json(report(fault(evidence={"value": value}))).encode().decode())
    assert found["findings"][0]["evidence"]["value"] == written


def test_a_version_in_the_location_is_text() -> None:
    found = read(as_json(report(fault("mapping/wrong-version", location=Location(version="2")))))
    assert found["verdict"]["location"]["version"] == "2"
