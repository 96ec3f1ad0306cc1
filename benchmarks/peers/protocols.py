"""How each server wants to be asked for one row, and where its answer is: pure functions of JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = str | list[Any]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One server's JSON.

    Attributes:
        body: from the input's name and one row to the request.
        answer: from the decoded response to the row's scores.
    """

    body: Callable[[str, Row], Any]
    answer: Callable[[Any], Any]

    def request(self, input_name: str, row: Row) -> bytes:
        return json.dumps(self.body(input_name, row), separators=(",", ":")).encode()

    def scores(self, response: bytes) -> list[float]:
        """The scores in ``response``. Raises ValueError where there are none."""
        try:
            scores = _flat(self.answer(json.loads(response)))
        except (KeyError, IndexError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"no scores in {response[:200]!r}: {error!r}") from None
        if not scores or not all(isinstance(score, int | float) for score in scores):
            raise ValueError(f"no scores in {response[:200]!r}")
        return scores


def _flat(values: Any) -> list[Any]:
    """A row's values: without a dimension for the rows around it, or with one of 1."""
    return _flat(values[0]) if len(values) == 1 and isinstance(values[0], list) else list(values)


def _shape(row: Row) -> list[int]:
    shape = [1]
    while isinstance(row, list):
        shape.append(len(row))
        row = row[0]
    return shape if len(shape) > 1 else [1, 1]


def _all_values(row: Row) -> list[Any]:
    return [value for part in row for value in _all_values(part)] if isinstance(row, list) else [row]


def _open_inference(name: str, row: Row) -> Any:
    datatype = "FP32" if isinstance(row, list) else "BYTES"
    return {"inputs": [{"name": name, "shape": _shape(row), "datatype": datatype, "data": _all_values(row)}]}


TENSORFLOW = Protocol(lambda _, row: {"instances": [row]}, lambda said: said["predictions"])
BENTOML = Protocol(lambda _, row: {"x": [row]}, lambda said: said)
LITSERVE = Protocol(lambda _, row: {"input": row}, lambda said: said["output"])
OPEN_INFERENCE = Protocol(_open_inference, lambda said: said["outputs"][0]["data"])
