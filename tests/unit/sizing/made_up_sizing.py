"""A model that needed little, made up."""

from dataclasses import replace
from typing import Any

from unstuck.bench.run import Question
from unstuck.sizing.deciding import Batch, Measured, Needs, Trial
from unstuck.sizing.deployed import Deployed
from unstuck.sizing.measuring import Asked, Sizing

MIB = 1 << 20
MEASURED = Measured(
    cpus=1.0,
    workers=0,
    highest_rate=200.0,
    p99_s=0.018,
    cpu_s=0.0042,
    used_cpus=0.97,
    peak_bytes=600 * MIB,
    second_bytes=50 * MIB,
    reserved_bytes=2000 * MIB,
    start_s=9.0,
    batch=Batch(32, 3.1),
)
NEEDS = Needs(replicas=2, rate=150.0, cpus=0.9, memory_bytes=720 * MIB, workers=0)
PASSED = Trial(NEEDS, meets_target=True, p99_s=0.019, peak_bytes=590 * MIB, start_s=11.0)


def measured(**changes: Any) -> Measured:
    return replace(MEASURED, **changes)


def needs(**changes: Any) -> Needs:
    return replace(NEEDS, **changes)


def trial(**changes: Any) -> Trial:
    return replace(PASSED, **changes)


def deployed(**changes: Any) -> Deployed:
    made = Deployed("risk", "/srv/models/risk", "unstuck:0.1.0", "models", NEEDS, 11.0, (), ("why: because",))
    return replace(made, **changes)


def sizing(**changes: Any) -> Sizing:
    asked = Asked("models/risk", Question("", (), target_p99_s=0.02), rate=300.0, cpus=1.0)
    made = Sizing(asked, "control groups of version 2", True, {"model": "risk, version 3"}, MEASURED, [PASSED])
    return replace(made, **changes)
