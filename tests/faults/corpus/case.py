"""What a case of the corpus is: a deployment that can be built, and the verdict that is right for it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

EVIDENCE = ("target", "model", "requests", "training_data", "golden", "server_log", "cgroup")


@dataclass(frozen=True)
class Deployment:
    """Everything that a user could hand to ``unstuck diagnose``; what the deployment does not have is None.

    Attributes:
        model: the SavedModel's version folder, its base path, or an .onnx file.
        requests: JSON Lines of REST predict bodies.
        training_data: .npz, .jsonl, .csv, .parquet or .tfrecord.
        golden: JSON Lines of {"inputs": {name: rows}, "outputs": {name: rows}}.
        server_log: a log of tensorflow_model_server or unstuck.
        cgroup: a cgroup folder.
        serve: starts the server as it is deployed, on a free port of 127.0.0.1, and gives its TARGET URL; stops it at
            the end.
        signature: the signature that clients call.
        version: the version that should answer; None for the newest. No evidence, as ``meant``.
        meant: the requests as they should have been, row by row. No evidence: only the corpus's own test reads it.
    """

    model: Path | None = None
    requests: Path | None = None
    training_data: Path | None = None
    golden: Path | None = None
    server_log: Path | None = None
    cgroup: Path | None = None
    serve: Callable[[], AbstractContextManager[str]] | None = None
    signature: str = ""
    meant: Path | None = None
    version: int | None = None


@dataclass(frozen=True)
class Case:
    """A deployment with the verdict expected.

    Attributes:
        name: unique; as a test's id.
        family: the kind of model: dense, convolutional, recurrent, attention, embedding, tabular, tf1, module,
            multi-output, regression, onnx.
        cause: the cause's code, or None for a healthy deployment.
        build: makes the deployment in an empty folder. Deterministic.
        given: the subsets of evidence that it is diagnosed with; the verdict must be right with each of them.
        location: what the verdict's location must say: by field, texts that must all be in it.
        held_out: only scored, never tuned on.
        quick: part of the quick tests.
    """

    name: str
    family: str
    cause: str | None
    build: Callable[[Path], Deployment]
    given: tuple[tuple[str, ...], ...]
    location: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    held_out: bool = False
    quick: bool = False

    def __post_init__(self) -> None:
        for subset in self.given:
            assert subset, f"{self.name}: a subset of nothing"
            assert set(subset) <= set(EVIDENCE), f"{self.name}: no such evidence in {subset}"
            assert {"target", "model"} & set(subset), f"{self.name}: {subset} has neither target nor model"
