"""What a model needs, for people and for programs."""

from collections.abc import Mapping
from typing import Any

import orjson

from unstuck.bench.report import words
from unstuck.sizing.deciding import FILLED, HEADROOM, Batch, Needs, Trial
from unstuck.sizing.measuring import Sizing

MIB = 1 << 20


def rows(sizing: Sizing) -> list[tuple[str, str, str]]:
    """What is needed: its name, how much, and why."""
    needs, measured, batch = sizing.needs, sizing.measured, sizing.measured.batch
    target = f"{(sizing.asked.question.target_p99_s or 0) * 1e3:g} ms"
    highest = f"{words.rate(measured.highest_rate)}/s keep the 99th percentile within {target} on {cpus(measured.cpus)}"
    several = f" with {measured.workers} processes" if measured.workers else ""
    second = f", of which {_mib(measured.second_bytes)} are a second version's, as while versions change"
    peak = f"{_mib(measured.peak_bytes)} at most{second if measured.second_bytes >= MIB else ''}"
    return [
        ("replicas", f"{needs.replicas:,}", f"{highest}{several}; each is for {FILLED:.0%} of that"),
        ("rate", f"{words.rate(needs.rate)}/s", "of each replica"),
        (
            "memory",
            _mib(needs.memory_bytes),
            f"{peak}, and {HEADROOM - 1:.0%} more",
        ),
        (
            "CPU",
            f"{needs.cpus:g}",
            f"{sizing.trials[-1].used_cpus:.2g} used at that rate; the rest is for peaks",
        ),
        (
            "workers",
            f"{needs.workers} processes" if needs.workers else "one process",
            f"waiting callers kept {measured.used_cpus:.2g} of {cpus(measured.cpus)} busy",
        ),
        ("batches", *_batches(batch)),
        ("start", f"{sizing.trials[-1].start_s:.1f} s", "until it was ready, with just that"),
    ]


def _batches(batch: Batch | None) -> tuple[str, str]:
    if batch is None:
        return "none wait", "calls are too short to wait for each other, or may not go together; nothing to set"
    if batch.rows == 1:
        return "each alone", "learned while it served: together, a row costs no less; nothing to set"
    return (
        f"{batch.rows} rows",
        f"learned while it served: a row then costs {batch.gain:.2g} times less; nothing to set",
    )


def cpus(count: float) -> str:
    return f"{count:g} CPU{'s' * (count != 1)}"


def why(sizing: Sizing) -> list[str]:
    """The same as comments of a manifest."""
    lines = [f"{name}: {value} ({reason})" for name, value, reason in rows(sizing)]
    return ["Found by unstuck size, on its machine's CPUs.", *lines, verdict(sizing)]


def verdict(sizing: Sizing) -> str:
    """Whether it was proven."""
    trial = sizing.trials[-1]
    if not trial.passed:
        return f"Not proven: {problem(trial)}. Held by {sizing.how}."
    said = (
        f"{words.rate(trial.needs.rate)} requests/s, 99th percentile {words.duration(trial.p99_s)}, none failed, "
        f"at most {_mib(trial.peak_bytes)}; held by {sizing.how}."
    )
    if sizing.is_exact:
        return f"Proven with just that: {said}"
    return f"Tried with just that, but that memory suffices is an estimate: {said}"


def problem(trial: Trial) -> str:
    """Why a trial did not pass."""
    if trial.oom_kills:
        return f"{_mib(trial.needs.memory_bytes)} were too little memory"
    if trial.problem:
        return trial.problem.rstrip(".")
    if trial.failed:
        return f"{trial.failed:,} requests failed"
    if not trial.meets_target:
        return f"the 99th percentile was {words.duration(trial.p99_s)}"
    return f"{trial.used_cpus:.2g} of {cpus(trial.needs.cpus)} were used"


def as_json(sizing: Sizing, manifests: Mapping[str, str]) -> str:
    measured, batch = sizing.measured, sizing.measured.batch
    document: dict[str, Any] = {
        "about": dict(sizing.about),
        "limits": {"how": sizing.how, "exact": sizing.is_exact},
        "rate": sizing.asked.rate,
        "target_p99_ms": (sizing.asked.question.target_p99_s or 0) * 1e3,
        "measured": {
            "cpus": measured.cpus,
            "workers": measured.workers,
            "highest_rate": measured.highest_rate,
            "p99_ms": _ms(measured.p99_s),
            "cpu_ms_per_request": _ms(measured.cpu_s),
            "used_cpus": round(measured.used_cpus, 3),
            "peak_memory_bytes": measured.peak_bytes,
            "second_version_bytes": measured.second_bytes,
            "start_s": round(measured.start_s, 2),
            "batch": None if batch is None else {"rows": batch.rows, "gain": batch.gain},
        },
        "needs": _needs(sizing.needs),
        "proven": sizing.is_proven,
        "verdict": verdict(sizing),
        "trials": [_trial(each) for each in sizing.trials],
        "remarks": list(sizing.remarks),
        "manifests": dict(manifests),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _needs(needs: Needs) -> dict[str, Any]:
    return {
        "replicas": needs.replicas,
        "rate": round(needs.rate, 3),
        "cpus": needs.cpus,
        "memory_bytes": needs.memory_bytes,
        "workers": needs.workers,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "needs": _needs(trial.needs),
        "passed": trial.passed,
        "problem": "" if trial.passed else problem(trial),
        "p99_ms": _ms(trial.p99_s),
        "used_cpus": round(trial.used_cpus, 3),
        "failed": trial.failed,
        "oom_kills": trial.oom_kills,
        "peak_memory_bytes": trial.peak_bytes,
        "start_s": round(trial.start_s, 2),
    }


def _ms(seconds: float) -> float:
    return float(f"{seconds * 1e3:.4g}")


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:,.0f} MiB"
