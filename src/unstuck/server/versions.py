"""A version on its way into service: the engine that loads it, and what it must pass before it serves."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from unstuck import engines
from unstuck.acceptance.version_check import VersionCheck
from unstuck.api.rest.statusz import WHY_NOT_MERGED
from unstuck.batching.proof import Verdict, examine
from unstuck.choosing.chooser import Chooser
from unstuck.config.settings import OnSkew, ServerConfig
from unstuck.core.batching import Merging
from unstuck.core.models import ModelConfig
from unstuck.core.observers import RunObserver
from unstuck.core.servables import Engine, InputWatch, Loader, Servable
from unstuck.engines.preparing import loader
from unstuck.engines.tensorflow import SessionOptions, TensorFlowEngine
from unstuck.engines.tflite import TfLiteEngine
from unstuck.lifecycle.harness import Accepted, AvailableVersion
from unstuck.lifecycle.source import VersionPath
from unstuck.monitor.constant_log import diagnose_command
from unstuck.monitor.diversity import DiversityMonitor
from unstuck.monitor.monitoring import Monitoring
from unstuck.monitor.request_log import RequestLogs
from unstuck.pipeline import PLACE, PROFILE
from unstuck.server.batching import ServerBatching
from unstuck.server.quarantine import Quarantines

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Versions:
    """Thread-safe, as far as what it is made of is.

    Attributes:
        config: the settings.
        plan: the models that are to be served.
        target_of: the address of a model's version, as ``unstuck diagnose`` takes it.
        monitoring: hears of loads.
        check: warms up, and asks the golden rows.
        request_logs: of calls.
        quarantines: watches what they answer.
        diversity: of answers; None where nobody looks.
        engines: which are installed.
        batching: how calls wait for others; None where they do not.
        chooser: of SavedModels' engines; None where TensorFlow runs them.
    """

    config: ServerConfig
    plan: Callable[[], Sequence[ModelConfig]]
    target_of: Callable[[str, int], str]
    monitoring: Monitoring
    check: VersionCheck
    request_logs: RequestLogs
    quarantines: Quarantines
    diversity: DiversityMonitor | None
    engines: Sequence[Engine]
    batching: ServerBatching | None = None
    chooser: Chooser | None = None

    def is_version(self, path: Path) -> bool:
        return any(engine.recognises(path) for engine in self.engines)

    def loader_of(self, name: str, found: VersionPath) -> Loader:
        self.monitoring.versions.load_begins(name, found.version, found.path)
        platform = next((model.platform for model in self.plan() if model.name == name), "")
        engine = engines.engine_of(found.path, self.engines, platform)
        file, trusts_all = self.config.pipeline_files.get(name), self.config.allow_unsafe_ops
        made = loader(engine, found.path, file, may_call_python=trusts_all or file is not None)
        if self.chooser is None or not isinstance(engine, TensorFlowEngine):
            return made
        return self.chooser.loader(
            name, found.version, found.path, made, has_pipeline=bool(self._pipeline(name, found))
        )

    def accept(self, name: str, found: VersionPath, servable: Servable) -> Accepted:
        """What a loaded version must pass before it serves."""
        config = self.config
        guarded = self.quarantines.guarded(name, found.version, servable)
        servable = guarded
        passed = self.check.check(AvailableVersion(name, found.version, servable), found.path)
        verdicts = {signature: examine(servable, each) for signature, each in servable.signatures.items()}
        why_not_merged = _why_not_merged(verdicts, config.merging)
        observers: list[RunObserver] = [self.request_logs.observer(name, found.version, servable.signatures)]
        notices: Mapping[str, str] = {}
        if self.diversity:
            target = self.target_of(name, found.version)
            command_of = partial(diagnose_command, target)
            answers = self.diversity.watch(name, found.version, servable.signatures, command_of)
            observers.append(answers)
            notices = answers.notices
        self.quarantines.accept(name, found.version, found.path, guarded)
        chosen = self.chooser.begin(name, found.version) if self.chooser else {}
        return Accepted(
            frozenset(signature for signature, reason in why_not_merged.items() if not reason),
            _watch(found.path, config.on_skew, servable),
            observers,
            {**self._facts(name, found), **passed, WHY_NOT_MERGED: why_not_merged, **chosen},
            notices,
            self.batching.of(name, found, verdicts) if self.batching else None,
            guarded,
        )

    def _facts(self, name: str, found: VersionPath) -> dict[str, object]:
        engine = next(each for each in self.engines if each.recognises(found.path))
        pipeline = self._pipeline(name, found)
        return {"engine": engine.platform, "path": str(found.path), "pipeline": str(pipeline) if pipeline else None}

    def _pipeline(self, name: str, found: VersionPath) -> Path | None:
        beside = found.path / PLACE
        return self.config.pipeline_files.get(name) or (beside if beside.is_file() else None)


def _watch(path: Path, on_skew: OnSkew, servable: Servable) -> InputWatch | None:
    """What compares requests with the training profile in the version's folder; None where there is none."""
    profile = (path if path.is_dir() else path.parent) / PROFILE
    if on_skew == "ignore" or not profile.is_file():
        return None
    from unstuck.inference.skew import watch_requests  # here, as it imports pydantic

    return watch_requests(profile, servable.signatures, on_skew)


def _why_not_merged(verdicts: Mapping[str, Verdict], merging: Merging) -> dict[str, str]:
    """By signature; empty where calls are merged."""
    reasons = {name: verdict.why_not_merged(merging) for name, verdict in verdicts.items()}
    for name, reason in reasons.items():
        unproven = f" (--batching=on), though {verdicts[name].why_not}" if verdicts[name].why_not else ""
        log.info("signature %r: calls are %s", name, f"not merged: {reason}" if reason else f"merged{unproven}")
    return reasons


def installed(config: ServerConfig) -> list[Engine]:
    """The engines, set up as the settings say."""
    return [_configured(engine, config) for engine in engines.installed(prefer_tflite=config.prefer_tflite)]


def _configured(engine: Engine, config: ServerConfig) -> Engine:
    if isinstance(engine, TensorFlowEngine):
        session = SessionOptions(
            config_file=config.session_config_file,
            intra_op_threads=config.intra_op_threads,
            inter_op_threads=config.inter_op_threads,
            gpu_memory_fraction=config.gpu_memory_fraction,
            bfloat16=config.bfloat16,
        )
        return replace(
            engine,
            tags=config.saved_model_tags,
            op_libraries=config.op_libraries,
            session=session,
            allow_unsafe_ops=config.allow_unsafe_ops,
        )
    if isinstance(engine, TfLiteEngine) and config.tflite_interpreters:
        return replace(engine, interpreters=config.tflite_interpreters)
    return engine
