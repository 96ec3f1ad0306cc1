"""What the operator of a broken twin has at hand for `unstuck diagnose`: requests, training data, golden rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from examples import image, tabular, text
from examples.requests import Example

REQUESTS = 40


def write(example: Example, folder: Path, right: Any) -> dict[str, Path]:
    """Writes the files of the broken twin into ``folder``.

    Args:
        example: whose twin.
        folder: where.
        right: answers an instance as the right model did when it was known to be right.

    Returns:
        By flag of `unstuck diagnose`, its file.
    """
    instances, training = _known(example)
    files = {"requests": folder / f"{example.name}.requests.jsonl", "training-data": folder / f"{example.name}.npz"}
    files["requests"].write_text("".join(json.dumps({"instances": [each]}) + "\n" for each in instances))
    np.savez(files["training-data"], **training)
    if example.name == tabular.NAME:  # what is wrong inside its graph shows only beside answers that were right
        files["golden"] = folder / f"{example.name}.golden.jsonl"
        rows = [{"inputs": _rows(each), "outputs": {"output": [right(each)]}} for each in instances[:24]]
        files["golden"].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


def _known(example: Example) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Instances as clients send them to the twin, and the inputs that its network was trained on."""
    if example.name == text.NAME:
        sent = [{"text": [sentence]} for sentence in text.reviews(REQUESTS, seed=3)[0]]
        return sent, {"text": np.array(text.prepared(text.reviews(300, seed=1)[0]))}
    if example.name == tabular.NAME:
        known = tabular.bearings(300, seed=1)[0]
        return (
            [{"feature_a": [float(a)], "feature_b": [float(b)]} for a, b in tabular.bearings(REQUESTS, seed=3)[0]],
            {"feature_a": known[:, :1], "feature_b": known[:, 1:]},
        )
    pictures, known = image.pictures(REQUESTS, seed=3)[0], image.pictures(300, seed=1)[0]
    return [{"image": picture.tolist()} for picture in pictures], {"image": (known / 255).astype(np.float32)}


def _rows(instance: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [value] for name, value in instance.items()}
