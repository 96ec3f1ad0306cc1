"""The report as JSON, for programs."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from unstuck.doctor.findings import Report

_OF_A_FINDING = {"check", "cause", "status", "evidence", "why"}


def as_json(report: Report) -> str:
    """The report in the documented shape; numbers that JSON does not know are null."""
    document: dict[str, Any] = {
        **report.model_dump(by_alias=True, exclude={"findings"}),
        "findings": [each.model_dump(include=_OF_A_FINDING) for each in report.findings],
    }
    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: object) -> object:
    """``value`` in JSON's types: arrays as lists, NaN and infinities as null, what is left as text."""
    if isinstance(value, np.generic | np.ndarray):
        value = cast("object", value.tolist())
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [plain(each) for each in cast("Iterable[object]", value)]
    return str(value)
