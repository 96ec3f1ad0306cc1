"""Chooses the engines of all versions of a server, in the background, one version at a time."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from unstuck.acceptance.golden import check_golden, rows_of
from unstuck.choosing import conversion
from unstuck.choosing.cache import Conversions, key_of
from unstuck.choosing.choice import Asked, EngineChoice, OnnxLoader
from unstuck.choosing.conversion import Limits, check_installed, command, tool_versions
from unstuck.choosing.switching import SwitchingServable
from unstuck.codecs import golden_json
from unstuck.core.servables import Loader, Servable
from unstuck.core.signatures import Tensors
from unstuck.errors import LoadFailed, SetupError
from unstuck.lifecycle.harness import AvailableVersion

FOLDER = "onnx"  # in the cache
PIPELINE = "its pipeline is part of TensorFlow's graph"

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Chooser:
    """Thread-safe.

    Attributes:
        asked: ``auto`` chooses once a version serves, ``onnx`` before it does.
        tags: of the meta graph that is served.
        cache: a folder, for what was converted.
        onnx: loads an ONNX model.
        golden: whether the golden rows of a version must be answered right.
    """

    asked: Asked
    tags: Sequence[str]
    cache: Path
    onnx: OnnxLoader
    golden: bool = True
    _choices: WeakValueDictionary[tuple[str, int], EngineChoice] = field(  # each is held by its loader
        default_factory=WeakValueDictionary[tuple[str, int], EngineChoice]
    )
    _stopping: threading.Event = field(default_factory=threading.Event)
    _worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "unstuck-choosing"))

    def loader(self, name: str, version: int, path: Path, inner: Loader, *, has_pipeline: bool) -> Loader:
        """``inner``, which loads the SavedModel at ``path``, with a servable that can be switched.

        Raises:
            LoadFailed: ``onnx`` is asked for, and it has a pipeline.
        """
        if has_pipeline:
            if self.asked == "onnx":
                raise LoadFailed(f"--engine=onnx, and {PIPELINE}.", hint="--engine=auto serves it by TensorFlow.")
            log.info("Model %r version %d stays with TensorFlow: %s", name, version, PIPELINE)
            return inner
        return ChoosingLoader(inner, partial(self._choice, name, version, path), self.asked == "onnx")

    def begin(self, name: str, version: int) -> dict[str, object]:
        """Decides in the background from now on, where ``auto`` is asked for; the version's facts about that."""
        choice = self._choices.get((name, version))
        if choice is None:
            return {}
        if self.asked == "auto" and not self._stopping.is_set():
            self._worker.submit(choice.decide)
        return {"engine": choice.engine, "engine_choice": choice.document}

    def stop(self) -> None:
        """Chooses no more, and kills what converts; the versions' loaders give back the rest."""
        self._stopping.set()
        for choice in list(self._choices.values()):
            choice.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _choice(self, name: str, version: int, path: Path, servable: Servable) -> EngineChoice:
        choice = EngineChoice(
            f"Model {name!r} version {version}",
            self.asked,
            SwitchingServable(servable),
            partial(self._convert, path),
            self.onnx,
            golden_inputs(servable, path),
            partial(self._accept, name, version, path),
        )
        self._choices[name, version] = choice
        if self._stopping.is_set():
            choice.cancel()
        return choice

    def _convert(self, path: Path, signature: str, cancelled: threading.Event) -> Path:
        limits = Limits.of_now()
        make = partial(_converted, command(path, self.tags, signature), limits, cancelled)
        return Conversions(self.cache).get(key_of(path, self.tags, signature, tool_versions()), limits, make, cancelled)

    def _accept(self, name: str, version: int, path: Path, servable: Servable) -> None:
        if self.golden:
            check_golden(AvailableVersion(name, version, servable), path)


class ChoosingLoader(Loader):
    """Loads by another loader; what that loads can be switched to another engine."""

    def __init__(self, inner: Loader, choice_of: Callable[[Servable], EngineChoice], at_once: bool) -> None:
        """``at_once`` switches before ``load`` returns, or fails."""
        self._inner = inner
        self._choice_of = choice_of
        self._at_once = at_once
        self._choice: EngineChoice | None = None

    def load(self) -> Servable:
        servable = self._inner.load()
        try:
            self._choice = choice = self._choice_of(servable)
            if self._at_once:
                choice.decide()
                choice.check_all_switched()
        except BaseException:
            self.unload()
            raise
        return choice.servable

    def estimate(self) -> int | None:
        return self._inner.estimate()

    def unload(self) -> None:
        if self._choice is not None:
            self._choice.end()
            self._choice = None
        self._inner.unload()


def available(asked: Asked) -> bool:
    """Whether SavedModels can be converted here; says so where ``auto`` must do without.

    Raises:
        SetupError: ``onnx`` is asked for, and something is missing.
    """
    try:
        check_installed()
    except SetupError as error:
        error.message = f"--engine={asked}: {error.message}"
        if asked == "onnx":
            raise
        log.warning("%s All SavedModels stay with TensorFlow. %s", error.message, error.hint)
        return False
    return True


def golden_inputs(servable: Servable, path: Path) -> dict[str, list[Tensors]]:
    """The inputs of the golden rows in a version's folder, by signature; none where they do not fit the model."""
    file = path / golden_json.PLACE
    found: dict[str, list[Tensors]] = {}
    if file.is_file():
        try:
            parsed = golden_json.parse(file.read_bytes(), file)
            for row in rows_of(AvailableVersion("", 0, servable), parsed, file):
                found.setdefault(row.signature.name, []).append(row.golden.inputs)
        except (SetupError, OSError):
            return {}  # which the golden rows' own check says
    return found


def _converted(converter: Sequence[str], limits: Limits, cancelled: threading.Event, out: Path) -> None:
    log.info("Converting to ONNX: %s", " ".join(converter[3:]))
    conversion.run(converter, out, limits, cancelled)
