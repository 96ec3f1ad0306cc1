"""Moves one feature at a time: does the answer move? Of the local model, and of the endpoint."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod

import numpy as np

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.feature_map import EndpointSensitivity, FeatureEffect, Sensitivity
from unstuck.doctor.experiments.endpoint_answers import rows_for_probes
from unstuck.doctor.experiments.endpoint_state import serving
from unstuck.doctor.experiments.example_features import packing, unpacked
from unstuck.doctor.experiments.explaining import Matcher, Run, gaps, in_one, kinds_of
from unstuck.doctor.experiments.golden_replay import golden_pool
from unstuck.doctor.experiments.naming import names_of
from unstuck.doctor.experiments.parallel import calls_at_once
from unstuck.doctor.experiments.running import EndpointRunner, ModelRunner, stack
from unstuck.doctor.experiments.sending import inputs_like_training
from unstuck.doctor.experiments.transformations import Array, Arrays, Batch, Feature, groups
from unstuck.doctor.lab import Lab, Row, spread

POOL = 48  # rows that other values are taken from
BASES = 6
MAX_FEATURES = 64
MAX_CHANNELS, MODEL_CHANNELS = 4, 16  # of a picture or a sequence, each a feature; of the model, calls cost little
CALLS = 110
MIN_GOLDEN = 16  # where chance gives a rank correlation of 0.6 once in 70 times
STILL = 1e-6  # of the answers' magnitude


@dataclass(frozen=True, slots=True)
class _Pool:
    source: str
    bases: dict[str, Array]
    others: dict[str, Array]  # rows to take other values from: training's, where they are known


def of_model(lab: Lab) -> Sensitivity:
    """Raises NotRun without a model, or rows that it can run."""
    runner: Run = ModelRunner(lab.model, lab.signature)
    pool = _pool(lab, _known_rows(lab))
    bases, others = unpacked(pool.bases), unpacked(pool.others)
    packed = next(iter(pool.bases)) if bases and others and set(bases) == set(others) else ""
    if bases and others and packed:
        runner, pool = packing(runner, packed), _Pool(pool.source, bases, others)
    base = runner(pool.bases)
    if not base:
        raise NotRun("the model cannot run the rows")
    features, left_out = _features(lab, pool, MODEL_CHANNELS)
    residuals, golden_rows = _residuals(lab, runner, features)
    return Sensitivity(
        source=pool.source,
        rows=len(next(iter(pool.bases.values()))),
        distinct=kinds_of(base),
        features=[
            _inside(packed, _effect(runner, pool, base, feature, BASES, residuals[at]))
            for at, feature in enumerate(features)
        ],
        golden_rows=golden_rows,
        left_out=left_out,
    )


def _inside(packed: str, found: FeatureEffect) -> FeatureEffect:
    """``found`` as a feature of the tf.Examples of input ``packed``, if they were looked into."""
    return found.model_copy(update={"input": packed, "is_input": False}) if packed else found


def of_endpoint(lab: Lab) -> EndpointSensitivity:
    """Raises NotRun without an endpoint that answers single rows."""
    runner = EndpointRunner(serving(lab), lab.signature, CALLS, at_once=calls_at_once(lab))
    pool = _pool(lab, rows_for_probes(lab, POOL))
    base = runner(pool.bases)
    if not base:
        raise NotRun("the endpoint does not answer single rows")
    runner.learn(pool.bases, base)
    features, left_out = _features(lab, pool, MAX_CHANNELS)
    each = BASES if runner.in_batches else max(1, min(BASES, runner.calls_left // (3 * max(1, len(features)))))
    return EndpointSensitivity(
        source=pool.source,
        rows=len(next(iter(pool.bases.values()))),
        distinct=kinds_of(base),
        features=[_effect(runner, pool, base, feature, each) for feature in features],
        left_out=left_out,
    )


def _known_rows(lab: Lab) -> tuple[str, list[Row]]:
    try:
        return "requests", lab.request_rows
    except NotRun:
        return inputs_like_training(lab)


def _pool(lab: Lab, given: tuple[str, list[Row]]) -> _Pool:
    source, rows = given
    rows = _alike(spread(rows, POOL))
    if len(rows) < 2:
        raise NotRun("there are no two rows of the same shape")
    others = rows
    if source == "requests":
        with suppress(NotRun):
            others = _alike([rows[0], *spread(lab.training_rows, POOL)])
    return _Pool(source, stack(spread(rows, BASES)), stack([*others, *rows]))


def _alike(rows: Sequence[Row]) -> list[Row]:
    """The rows that have the first one's shapes, and a first dimension of 1."""
    shapes = {alias: np.shape(values) for alias, values in rows[0].items()}
    if any(not shape or shape[0] != 1 for shape in shapes.values()):
        return []
    return [row for row in rows if {alias: np.shape(values) for alias, values in row.items()} == shapes]


def _features(lab: Lab, pool: _Pool, channels: int) -> tuple[list[Feature], int]:
    """Whole inputs, and the columns of feature vectors; and how many were left out."""
    found: list[Feature] = []
    for group in groups(pool.bases, names_of(lab)):
        whole = group.features[0].column is None
        is_numbers = pool.bases[group.features[0].input].dtype.kind == "f"
        if whole or (is_numbers and (not group.is_tensor or len(group.features) <= channels)):
            found += group.features
    wholes = [feature for feature in found if feature.column is None]
    columns = [feature for feature in found if feature.column is not None]
    kept = columns if len(columns) <= MAX_FEATURES else [
        columns[int(at)] for at in np.linspace(0, len(columns) - 1, MAX_FEATURES)
    ]  # fmt: skip
    return wholes + kept, len(columns) - len(kept)


def _effect(run: Run, pool: _Pool, base: Arrays, feature: Feature, bases: int, residual: float = 0.0) -> FeatureEffect:
    rows = min(bases, len(next(iter(pool.bases.values()))))
    trials = moved = 0
    effect = 0.0
    tried: list[tuple[Array, Batch]] = []
    for values in _other_values(feature, pool, rows):
        batch: Batch = {alias: array[:rows] for alias, array in pool.bases.items()}
        changed = _differs(feature.of(batch), values)
        if changed.any():
            feature.put(batch, values)
            tried.append((changed, batch))
    for (changed, _), answers in zip(tried, in_one([batch for _, batch in tried], run), strict=True):
        if answers is None:
            continue
        apart = _apart(base, answers, rows)
        trials += int(changed.sum())
        moved += int((apart[changed] > 0).sum())
        effect = max(effect, float(apart[changed].max(initial=0.0)))
    return FeatureEffect(
        feature=feature.name,
        input=feature.input,
        is_input=feature.column is None,
        trials=trials,
        moved=moved,
        effect=min(effect, 1e9),
        residual=residual,
    )


def _other_values(feature: Feature, pool: _Pool, rows: int) -> list[Array]:
    """For each base row another value: the pool's lowest, its highest, and some of its rows'."""
    values = feature.of(pool.others)
    found: list[Array] = []
    if values.dtype.kind in "fiu" and prod(values.shape[1:]) == 1:
        flat = values.reshape(len(values), -1)[:, 0]
        for at in (int(np.argmin(flat)), int(np.argmax(flat))):
            found.append(np.repeat(values[at : at + 1], rows, axis=0))
    places = np.linspace(0, len(values) - 1, 2 * rows).astype(int)
    found += [values[places[:rows]][::-1], values[places[rows:]][::-1]]
    return found[:3]


def _differs(one: Array, other: Array) -> Array:
    return np.any(np.array(one != other, bool).reshape(len(one), -1), axis=1).reshape(-1)


def _apart(base: Arrays, answers: Arrays, rows: int) -> Array:
    """By row, how far the answer moved, of the range of the base answers; 0 for what rounding does."""
    found = np.zeros(rows)
    for alias, values in base.items():
        if alias not in answers or np.shape(answers[alias]) != values[:rows].shape:
            return np.ones(rows)
        apart = gaps(values[:rows], np.asarray(answers[alias]))
        if values.dtype.kind not in "fiub":
            found = np.maximum(found, (apart > 0).astype(float))
            continue
        finite = np.abs(values[np.isfinite(values)]).max(initial=0.0) if values.size else 0.0
        still = STILL * float(finite)
        unit = max(float(np.ptp(values.reshape(len(values), -1), axis=0).max(initial=0.0)), still, 1e-12)
        found = np.maximum(found, np.where(apart > max(still, 1e-12), apart / unit, 0.0))
    return found


def _residuals(lab: Lab, run: Run, features: Sequence[Feature]) -> tuple[list[float], int]:
    """By feature, how well it ranks what the golden answers have beyond the model's, and over how many rows."""
    none = [0.0] * len(features), 0
    try:
        batch, truth = golden_pool(lab)
    except NotRun:
        return none
    batch = unpacked(batch) or batch
    if any(feature.input not in batch for feature in features):
        return none
    computed = run(batch)
    rows = len(next(iter(truth.values())))
    if not computed or rows < MIN_GOLDEN or not Matcher(truth, computed).wrong(computed).any():
        return none
    alias = next((each for each in truth if each in computed and np.shape(truth[each]) == np.shape(computed[each])), "")
    if not alias or truth[alias].dtype.kind not in "fiu":
        return none
    missing = (truth[alias].astype(np.float64) - np.asarray(computed[alias]).astype(np.float64)).reshape(rows, -1)
    found: list[float] = []
    for feature in features:
        values = feature.of(batch).reshape(rows, -1)
        said = _summaries(values) if values.dtype.kind in "fiu" else []
        ranked = max((_goes_with(one, each) for one in said for each in missing.T), default=0.0)
        of_kind = max((_told_by_kind(values, each) for each in missing.T), default=0.0)
        found.append(max(ranked, of_kind))
    return found, rows


def _told_by_kind(values: Array, missing: Array) -> float:
    """How well a feature's value tells what is missing, as a category does: a correlation ratio, less chance's part."""
    _, kinds = np.unique([repr(row) for row in values.tolist()], return_inverse=True)
    count, rows = int(kinds.max()) + 1, len(missing)
    whole = float(((missing - missing.mean()) ** 2).sum())
    if values.dtype.kind == "f" or not 1 < count <= rows / 2 or not whole:
        return 0.0
    within = sum(float(((own - own.mean()) ** 2).sum()) for at in range(count) for own in (missing[kinds == at],))
    return float(np.sqrt(max(0.0, 1 - (within / (rows - count)) / (whole / (rows - 1)))))


def _summaries(values: Array) -> list[Array]:
    """A number; of a channel its mean, its first and its last value."""
    numbers = values.astype(np.float64)
    return [numbers[:, 0]] if numbers.shape[1] == 1 else [numbers.mean(axis=1), numbers[:, 0], numbers[:, -1]]


def _goes_with(feature: Array, missing: Array) -> float:
    """How well a feature ranks what is missing; also by size, as where zero stands in for a feature of either sign."""
    sizes = max(_ranked(np.abs(feature - centre), np.abs(missing)) for centre in (0.0, float(np.mean(feature))))
    return max(_ranked(feature, missing), sizes)


def _ranked(one: Array, other: Array) -> float:
    """The absolute rank correlation; 0 where either is constant."""
    first, second = (np.argsort(np.argsort(each)).astype(np.float64) for each in (one, other))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return abs(float(np.corrcoef(first, second)[0, 1]))
