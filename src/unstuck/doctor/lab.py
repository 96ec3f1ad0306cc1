"""The lab: what the user handed over, opened, and shared by the experiments."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from unstuck.core.signatures import Signature, Tensors
from unstuck.core.tracing import Traceable
from unstuck.doctor.endpoint import Endpoint
from unstuck.doctor.evidence.base import Evidence, NotRun
from unstuck.doctor.given import Golden, Request, read_golden, read_requests, read_training
from unstuck.doctor.local_model import LocalModel
from unstuck.doctor.profiled import ProfiledRows
from unstuck.errors import UnknownSignature, UnstuckError
from unstuck.pipeline import PROFILE
from unstuck.pipeline.checks import UNPREPARED
from unstuck.pipeline.profile import read_profile

MAX_ROWS = 64  # of a pool that an experiment runs
TRAINING_ROWS = 512
PROFILED_ROWS = 512

E = TypeVar("E", bound=Evidence)
Row = Mapping[str, "np.ndarray"]


@dataclass(frozen=True, slots=True)
class Question:
    """What ``unstuck diagnose`` was asked, its paths resolved.

    Attributes:
        target: the endpoint's URL; empty for none.
        model: the version's folder or file; None for none.
        versions: every version of the model's base path, by number; of a lone version, only that.
        requests, training_data, golden, server_log, cgroup: files and a folder; None for none.
        signature: the signature's name; empty for what the requests call, or the default.
        timeout_s: for the whole run.
        load: whether load and concurrency may be tried on a target that is not on this machine.
        pipeline_file: a pipeline in front of the local model.
        tags: the meta graph's.
        api_key: for the endpoint's server; empty for none.
        allow_unsafe_ops: whether the model may do more than compute.
    """

    target: str = ""
    model: Path | None = None
    versions: Mapping[int, Path] = field(default_factory=dict[int, Path])
    requests: Path | None = None
    training_data: Path | None = None
    golden: Path | None = None
    server_log: Path | None = None
    cgroup: Path | None = None
    signature: str = ""
    timeout_s: float = 120.0
    load: bool = False
    pipeline_file: Path | None = None
    tags: tuple[str, ...] = ("serve",)
    api_key: str = field(default="", repr=False)
    allow_unsafe_ops: bool = False


class Lab:
    """Opens what was handed over when an experiment first asks for it. Not thread-safe; ``close`` it.

    A *row* is one example: by input alias an array whose first dimension is 1, or, for inputs that have no batch
    dimension, a whole call.
    """

    def __init__(
        self,
        question: Question,
        experiments: Mapping[type[Evidence], Callable[["Lab"], Evidence]],
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.question = question
        self.progress = progress
        self._experiments = experiments
        self._found: dict[type[Evidence], Evidence | NotRun] = {}
        self._deadline = time.monotonic() + question.timeout_s

    def seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def find(self, kind: type[E]) -> E:
        """The evidence of ``kind``, its experiment run if it has not been. Raises NotRun."""
        if kind not in self._found:
            self._found[kind] = self._run(kind)
        found = self._found[kind]
        if isinstance(found, NotRun):
            raise found
        return cast("E", found)

    def _run(self, kind: type[Evidence]) -> Evidence | NotRun:
        if not self.seconds_left():
            return NotRun(f"the time of {self.question.timeout_s:g} s was over (--timeout)")
        self.progress(kind.__name__)
        try:
            return self._experiments[kind](self)
        except NotRun as why:
            return why
        except UnstuckError as error:
            return NotRun(str(error).removesuffix("."))

    @cached_property
    def model(self) -> LocalModel:
        """The model on disk. Raises NotRun where none was given, LoadFailed where it cannot be loaded."""
        if self.question.model is None:
            raise NotRun("no --model was given")
        return self._local(self.question.model, self.question.pipeline_file)

    def _local(self, path: Path, pipeline_file: Path | None = None) -> LocalModel:
        return LocalModel(path, self.question.tags, pipeline_file, allow_unsafe_ops=self.question.allow_unsafe_ops)

    @cached_property
    def other_versions(self) -> dict[int, LocalModel]:
        """The other versions of the model's base path that can be loaded, newest first, at most four."""
        others = {number: path for number, path in self.question.versions.items() if path != self.question.model}
        return {number: self._local(others[number]) for number in sorted(others, reverse=True)[:4]}

    @cached_property
    def endpoint(self) -> Endpoint:
        """The served model. Raises NotRun where none was given."""
        if not self.question.target:
            raise NotRun("no TARGET was given")
        return Endpoint(self.question.target, self.question.api_key)

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Those that clients may call, as the model says, or else the endpoint. Raises NotRun."""
        known = self.model.signatures if self.question.model else self.endpoint.signatures()
        return {name: each for name, each in known.items() if not name.endswith(UNPREPARED)}

    @cached_property
    def signature(self) -> Signature:
        """The signature in question, as the model says, or else the endpoint.

        Raises:
            NotRun: nothing says what it takes.
            UnknownSignature: there is none of that name.
        """
        signatures = self.signatures
        name = self.question.signature or self._called(signatures)
        if name not in signatures:
            raise UnknownSignature(str(self.question.model or self.question.target), name, signatures)
        return signatures[name]

    def _called(self, signatures: Mapping[str, Signature]) -> str:
        from unstuck.core.signatures import DEFAULT_SIGNATURE

        if DEFAULT_SIGNATURE in signatures:
            return DEFAULT_SIGNATURE
        callable_ones = [name for name in signatures if not name.startswith("__")]
        return callable_ones[0] if len(callable_ones) == 1 else DEFAULT_SIGNATURE

    @cached_property
    def requests(self) -> Sequence[Request]:
        """What clients send, in order. Raises NotRun where none were given."""
        if self.question.requests is None:
            raise NotRun("no --requests were given")
        return read_requests(self.question.requests, self.signatures, self.signature.name)

    @cached_property
    def training(self) -> Tensors:
        """A sample of the training data, by input alias, rows first. Raises NotRun where none were given."""
        if self.question.training_data is None:
            raise NotRun("no --training-data were given")
        return read_training(self.question.training_data, self.signature, TRAINING_ROWS)

    @cached_property
    def golden(self) -> Sequence[Golden]:
        """Inputs with the outputs known right. Raises NotRun where none were given."""
        if self.question.golden is None:
            raise NotRun("no --golden rows were given")
        return read_golden(self.question.golden, self.signature)

    @cached_property
    def has_pipeline(self) -> bool:
        """Whether a pipeline prepares what clients send before the local model takes it."""
        return self.question.model is not None and self.signature.name + UNPREPARED in self.model.signatures

    @cached_property
    def request_rows(self) -> list[Row]:
        """The requests to the signature in question, as rows; at most MAX_ROWS, spread over all. Raises NotRun."""
        rows = [
            row
            for request in self.requests
            if request.inputs and request.signature == self.signature.name
            for row in rows_of(request.inputs)
        ]
        if not rows:
            raise NotRun("no request fits the signature")
        return spread(rows, MAX_ROWS)

    @cached_property
    def training_rows(self) -> list[Row]:
        """Training examples as rows, at most MAX_ROWS. Raises NotRun."""
        if self.has_pipeline:
            raise NotRun("a pipeline prepares what the model takes, and training data are prepared already")
        return spread(list(rows_of(self.training)), MAX_ROWS)

    @cached_property
    def _profiled(self) -> ProfiledRows:
        """Rows drawn from the training profile in the model's version. Raises NotRun where there is none of use."""
        path = self.question.model
        file = (path if path.is_dir() else path.parent) / PROFILE if path is not None else None
        if file is None or not file.is_file():
            raise NotRun("the model has no training profile (unstuck fit-pipeline writes one)")
        profile = read_profile(file)
        if profile.signature != self.signature.name:
            raise NotRun(f"the training profile is of signature {profile.signature!r}")
        found = ProfiledRows(profile, file.parent, self.signature, PROFILED_ROWS)
        if not found.columns:
            raise NotRun("the training profile has none of the inputs, or says too little of them")
        return found

    @cached_property
    def profiled(self) -> list[Row]:
        """Values as in training by its profile, feature by feature; inputs that it does not tell are left out.

        Raises NotRun where there is no profile, ProfileError where it cannot be read.
        """
        return [*self._profiled.rows()]

    @cached_property
    def profile_rows(self) -> list[Row]:
        """Rows like training's, drawn from its profile, at most MAX_ROWS. Raises NotRun, ProfileError."""
        if not self._profiled.is_plausible:
            raise NotRun("whole rows cannot be drawn from the training profile")
        return spread(self.profiled, MAX_ROWS)

    @cached_property
    def golden_rows(self) -> list[Row]:
        """The golden inputs as rows, at most MAX_ROWS. Raises NotRun."""
        if self.has_pipeline:
            raise NotRun("a pipeline prepares what the model takes, and golden inputs may be prepared already")
        return spread([row for each in self.golden for row in rows_of(each.inputs)], MAX_ROWS)

    def traced(self) -> Traceable:
        """The inside of the model. Raises NotRun, LoadFailed."""
        return self.model.traced

    def close(self) -> None:
        for name in ("model", "endpoint"):
            if name in self.__dict__:
                self.__dict__[name].close()
        for model in self.__dict__.get("other_versions", {}).values():
            model.close()


def rows_of(inputs: Tensors) -> Iterator[Row]:
    """The examples of a call: each row of its batch, or the whole call where it has none."""
    sizes = {array.shape[0] if array.ndim else -1 for array in inputs.values()}
    if len(sizes) != 1 or -1 in sizes:
        yield inputs
        return
    for at in range(sizes.pop()):
        yield {alias: array[at : at + 1] for alias, array in inputs.items()}


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """At most ``count`` of ``rows``, at even distances."""
    if len(rows) <= count:
        return list(rows)
    return [rows[at] for at in np.linspace(0, len(rows) - 1, count).astype(int)]
