"""Statistics of features in a file, which steps may name instead of stating numbers.

{"features": {"age": {"mean": 38.5, "std": 13.2, "min": 17, "max": 90}}}

A value is a number, or a list with one for each place of the last dimension; what else the file holds is left alone.
"""

import json
import math
from pathlib import Path
from typing import Any, cast

from unstuck.errors import did_you_mean
from unstuck.pipeline.document import PipelineError


def read_statistics(path: Path, feature: str, names: tuple[str, ...]) -> tuple[float | list[float], ...]:
    """The statistics ``names`` of ``feature`` in the file ``path``.

    Raises:
        PipelineError: the file cannot be read, or does not have them.
    """
    features = _features(path)
    found = features.get(feature)
    if not isinstance(found, dict):
        known = ", ".join(map(repr, features)) or "none"
        raise PipelineError(
            f"its file {path} has no feature {feature!r}; it has {known}", hint=did_you_mean(feature, features)
        )
    return tuple(_numbers(f"{path}, feature {feature!r}", cast("dict[str, object]", found), name) for name in names)


def _features(path: Path) -> dict[str, object]:
    try:
        document: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PipelineError(f"its file {path} cannot be read: {error}") from None
    features = cast("dict[str, object]", document).get("features") if isinstance(document, dict) else None
    if not isinstance(features, dict):
        raise PipelineError(f'its file {path} is not of the form {{"features": {{"NAME": {{…}}}}}}')
    return cast("dict[str, object]", features)


def _numbers(where: str, statistics: dict[str, object], name: str) -> float | list[float]:
    if name not in statistics:
        known = ", ".join(statistics) or "nothing"
        raise PipelineError(f"its file {where} has no {name}; it has {known}")
    value = statistics[name]
    values: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not values or not all(_is_number(each) for each in values):
        raise PipelineError(f"its file {where} has as {name} neither a number nor a list of numbers, but {value!r}")
    return [float(each) for each in values] if isinstance(value, list) else float(values[0])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
