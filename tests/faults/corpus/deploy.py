"""Assembles a Deployment: writes the evidence beside the model and says how the server runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus import server
from corpus.case import Deployment
from corpus.evidence import write_golden, write_requests, write_training_data

Arrays = Mapping[str, np.ndarray]


def deploy(
    folder: Path,
    model: Path,
    sent: Arrays,
    *,
    training: Arrays | None = None,
    training_as: str = ".npz",
    right: Arrays | None = None,
    right_model: Path | None = None,
    right_signature: str = "serving_default",
    meant: Arrays | None = None,
    hooks: server.Hooks | None = None,
    protocol: str = "rest",
    path: str = "",
    **form: Any,
) -> Deployment:
    """A deployment of ``model`` (a version's folder, or the base path of all its versions).

    Args:
        sent: the inputs that clients send, written as requests in the ``form`` of ``write_requests``.
        training: the inputs that the model was trained on.
        right: inputs as the model was meant to get them; ``right_model``, which is ``model`` by default, gives the
            golden answers to them.
        meant: what clients should have sent, where ``sent`` is wrong.
        hooks: what is wrong with the server.
        path: appended to TARGET, "/versions/2".
    """
    versions = {int(model.name): model} if model.name.isdigit() else {int(f.name): f for f in model.iterdir()}
    listen = {"rest": server.rest, "grpc": server.grpc}[protocol]
    golden = None
    if right is not None:
        newest = versions[max(versions)]
        golden = write_golden(folder / "golden.jsonl", right_model or newest, right, signature=right_signature)
    return Deployment(
        model=model,
        requests=write_requests(folder / "requests.jsonl", sent, **form),
        training_data=training and write_training_data(folder / f"training{training_as}", training),
        golden=golden,
        meant=meant and write_requests(folder / "meant.jsonl", meant, **form),
        serve=lambda: listen(versions, hooks, path=path),
    )
