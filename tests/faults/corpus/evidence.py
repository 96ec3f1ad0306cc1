"""Writes what a user hands to ``unstuck diagnose`` beside the model: requests, training data, golden answers."""

import base64
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus.served import ServedModel

Arrays = Mapping[str, np.ndarray]


def write_requests(
    path: Path, inputs: Arrays, *, form: str = "row", rows: int = 1, signature: str = "", named: bool = False
) -> Path:
    """A REST predict body a line, of ``rows`` examples each; the last may have fewer.

    Args:
        inputs: examples by input name, as the client sends them (which is where its fault is).
        form: "row" for {"instances": …}, "column" for {"inputs": …}.
        named: names the input even where it is the only one.
    """
    count = len(next(iter(inputs.values())))
    lines = []
    for start in range(0, count, rows):
        part = {name: _plain(values[start : start + rows]) for name, values in inputs.items()}
        single = None if named or len(part) > 1 else next(iter(part.values()))
        if form == "column":
            body: dict[str, Any] = {"inputs": part if single is None else single}
        elif single is None:
            body = {"instances": [dict(zip(part, row, strict=True)) for row in zip(*part.values(), strict=True)]}
        else:
            body = {"instances": single}
        lines.append(json.dumps(({"signature_name": signature} if signature else {}) | body))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_training_data(path: Path, inputs: Arrays) -> Path:
    """Examples by the signature's input names, as .npz, .jsonl or .csv by the suffix (.csv: a column an input)."""
    if path.suffix == ".npz":
        np.savez(path, **inputs)
        return path
    plain = {name: _plain(values) for name, values in inputs.items()}
    rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(plain))
        writer.writeheader()
        writer.writerows({name: _only(value) for name, value in row.items()} for row in rows)
    return path


def write_golden(path: Path, model: Path, inputs: Arrays, *, signature: str = "serving_default", rows: int = 1) -> Path:
    """Answers of ``model``, which is right, to ``inputs``, which are too: ``rows`` examples a line."""
    count = len(next(iter(inputs.values())))
    with ServedModel(model) as served, path.open("w") as file:
        for start in range(0, count, rows):
            part = {name: np.asarray(values[start : start + rows]) for name, values in inputs.items()}
            outputs = served.run(part, signature)
            record = {"inputs": part, "outputs": outputs}
            plain = {kind: {name: _plain(values) for name, values in by.items()} for kind, by in record.items()}
            file.write(json.dumps(plain) + "\n")
    return path


def _plain(value: Any) -> Any:
    """As JSON: bytes that are no text as {"b64": …}, floats with the digits that a float32 has."""
    if isinstance(value, np.ndarray | list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.floating | float):
        return float(f"{value:.8g}")
    return value.item() if isinstance(value, np.generic) else value


def _only(value: Any) -> Any:
    """The number or text of an input of shape [-1] or [-1,1], as a cell of a table."""
    while isinstance(value, list):
        (value,) = value
    return value
