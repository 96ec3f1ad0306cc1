"""Cases in a model: a sensible one, the same with one fault, and the proof that the fault shows."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.case import Case, Deployment

Rows = dict[str, np.ndarray]
Export = Callable[[Path, bool], None]
Sample = Callable[[np.random.Generator, int], Rows]

ALONE = ("model",)
REQUESTS = ("model", "requests")
TRAINING = ("model", "training_data")
BOTH = ("model", "requests", "training_data")
GOLDEN = ("model", "golden")
ALL = (*BOTH, "golden")

TRAINING_ROWS = 300
ROUNDING = 2e-6


@dataclass(frozen=True)
class ModelCase:
    """A case of the stage model, or, without a cause, a healthy model that looks like one.

    Attributes:
        export: writes version 1 below a base path; with True the faulty model, with False its healthy twin.
        sample: plausible inputs, by the signature's names.
        rows: rows in one request.
        requests: how many requests there are.
        columns: requests are ``inputs`` by name, not ``instances``.
        outputs: the outputs that the fault reaches; empty for all.
        unused: the only input that the fault disconnects; empty for all.
        fails: the model cannot be loaded, or answers with an error.
    """

    name: str
    family: str
    cause: str | None
    export: Export
    sample: Sample
    location: Mapping[str, tuple[str, ...]]
    given: tuple[tuple[str, ...], ...] = (ALONE, REQUESTS, BOTH)
    rows: int = 1
    requests: int = 40
    columns: bool = False
    outputs: tuple[str, ...] = ()
    unused: str = ""
    fails: bool = False
    held_out: bool = False
    quick: bool = False

    def case(self) -> Case:
        return Case(
            self.name, self.family, self.cause, self.deploy, self.given, self.location, self.held_out, self.quick
        )

    def deploy(self, folder: Path) -> Deployment:
        """The faulty model, what clients send it, its training inputs, and what its twin answered."""
        self.export(folder / "model", True)
        golden = None
        if any("golden" in subset for subset in self.given):
            self.export(folder / "twin", False)
            golden = folder / "golden.jsonl"
            write_golden(golden, folder / "twin" / "1", self.sample(np.random.default_rng(3), 24))
        sent = self.sample(np.random.default_rng(1), self.requests * self.rows)
        trained = self.sample(np.random.default_rng(2), TRAINING_ROWS)
        return Deployment(
            model=folder / "model" / "1",
            requests=write_requests(folder / "requests.jsonl", sent, self.rows, self.columns),
            training_data=write_training(folder / "training.npz", trained),
            golden=golden,
        )


def write_requests(path: Path, rows: Rows, per_request: int = 1, columns: bool = False) -> Path:
    """One REST predict body a line, of ``per_request`` rows each."""
    total = _count(rows)
    with path.open("w", encoding="utf-8") as lines:
        for start in range(0, total, per_request):
            part = {name: values[start : start + per_request].tolist() for name, values in rows.items()}
            if columns:
                body: dict[str, Any] = {"inputs": part}
            elif len(part) == 1:
                body = {"instances": next(iter(part.values()))}
            else:
                body = {"instances": [dict(zip(part, row, strict=True)) for row in zip(*part.values(), strict=True)]}
            lines.write(json.dumps(body) + "\n")
    return path


def write_training(path: Path, rows: Rows) -> Path:
    np.savez(path, **rows)
    return path


def write_golden(path: Path, version: Path, rows: Rows) -> None:
    """One line a row, with the answers of the model in ``version``."""
    outputs = answers(version, rows)
    with path.open("w", encoding="utf-8") as lines:
        for row in range(_count(rows)):
            recorded = {
                kind: {name: _plain(values[row : row + 1]) for name, values in tensors.items()}
                for kind, tensors in (("inputs", rows), ("outputs", outputs))
            }
            lines.write(json.dumps(recorded) + "\n")


def answers(version: Path, rows: Rows, signature: str = "serving_default") -> Rows:
    """What the model answers when it is loaded as ``tensorflow_model_server`` does: into a session, by tag."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(version))
        declared = meta.signature_def[signature]
        feeds = {declared.inputs[name].name: _fed(values) for name, values in rows.items()}
        return session.run({name: tensor.name for name, tensor in declared.outputs.items()}, feeds)


def check(case: ModelCase, folder: Path) -> None:
    """Raises AssertionError unless the fault shows as its cause's definition says, and the twin is free of it."""
    case.export(folder / "broken", True)
    case.export(folder / "healthy", False)
    broken, healthy = folder / "broken" / "1", folder / "healthy" / "1"
    _check_location(case, broken)
    sent = case.sample(np.random.default_rng(1), case.requests * case.rows)
    trained = case.sample(np.random.default_rng(2), TRAINING_ROWS)
    rows = {name: np.concatenate([sent[name], trained[name]]) for name in sent}
    right = answers(healthy, rows)
    affected = case.outputs or tuple(right)
    for name in affected:
        assert _varies(right[name]), f"{case.name}: the healthy {name} does not vary: {right[name][:4]}"
    if case.cause is None:
        return
    if case.fails:
        _check_fails(case, broken, rows)
    elif case.unused:
        _check_unused(case, broken, healthy, rows)
    elif case.cause == "model/batch-statistics":
        _check_batch(case, broken, healthy, rows)
    else:
        wrong = answers(broken, rows)
        for name in affected:
            if case.cause == "model/collapsed":
                _check_collapsed(case, name, wrong[name], right[name])
            else:
                assert not _varies(wrong[name]), f"{case.name}: the faulty {name} varies: {wrong[name][:4]}"


def _check_location(case: ModelCase, version: Path) -> None:
    """What the verdict must say is a name that the model has."""
    from tensorflow.core.protobuf import saved_model_pb2

    meta = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs[0]
    signature = meta.signature_def["serving_default"]
    bodies = [meta.graph_def.node, *(function.node_def for function in meta.graph_def.library.function)]
    nodes = [node.name for body in bodies for node in body]
    names = {"input": [*signature.inputs], "output": [*signature.outputs], "node": nodes, "layer": nodes}
    for kind, texts in case.location.items():
        assert any(all(text in name for text in texts) for name in names[kind]), f"{case.name}: no {kind} has {texts}"


def _check_fails(case: ModelCase, version: Path, rows: Rows) -> None:
    import tensorflow as tf

    try:
        answers(version, rows)
    except tf.errors.OpError:
        return
    raise AssertionError(f"{case.name}: the faulty model answers")


def _check_unused(case: ModelCase, broken: Path, healthy: Path, rows: Rows) -> None:
    moved = {**rows, case.unused: np.roll(rows[case.unused], 1, axis=0)}
    for version, same in ((broken, True), (healthy, False)):
        before, after = answers(version, rows), answers(version, moved)
        equal = all(np.allclose(before[name], after[name], rtol=ROUNDING, atol=0) for name in before)
        assert equal == same, f"{case.name}: {version.parent.name} with {case.unused} moved: equal is {equal}"


def _check_batch(case: ModelCase, broken: Path, healthy: Path, rows: Rows) -> None:
    rows = {name: values[:8] for name, values in rows.items()}
    for version, same in ((broken, False), (healthy, True)):
        together = answers(version, rows)
        alone = [answers(version, {name: values[i : i + 1] for name, values in rows.items()}) for i in range(8)]
        for name in together:
            close = np.allclose(together[name], np.concatenate([row[name] for row in alone]), rtol=1e-3, atol=1e-5)
            assert close == same, f"{case.name}: {version.parent.name}'s {name}, alone and together: equal is {close}"


def _check_collapsed(case: ModelCase, name: str, wrong: np.ndarray, right: np.ndarray) -> None:
    reach, magnitude = float(np.ptp(wrong, axis=0).max()), float(np.abs(wrong).max())
    assert reach > 8 * np.finfo(wrong.dtype).eps * magnitude, f"{case.name}: {name} is constant, not collapsed"
    probability = bool((right >= 0).all() and (right <= 1).all())
    limit = 1e-3 if probability else 1e-4 * magnitude
    if all("golden" in subset for subset in case.given):
        limit = 0.01 * float(np.ptp(right))
    assert reach < limit / 2, f"{case.name}: {name} moves by {reach}, the limit is {limit}"


def _count(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _varies(values: np.ndarray) -> bool:
    if values.dtype.kind not in "fiu":
        return len(np.unique(values.astype(str))) > 1
    values = values.astype(np.float64)
    values = values[np.isfinite(values).all(axis=tuple(range(1, values.ndim)))]
    if not len(values):
        return False
    return bool(np.ptp(values, axis=0).max() > ROUNDING * max(1e-30, np.abs(values).max()))


def _fed(values: np.ndarray) -> np.ndarray:
    return values.astype(object) if values.dtype.kind == "U" else values


def _plain(values: np.ndarray) -> Any:
    if values.dtype.kind == "O":
        values = np.vectorize(bytes.decode, otypes=[object])(values)
    return values.tolist()
