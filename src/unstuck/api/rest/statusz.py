"""``/statusz``: what the server knows of itself and of each version, as JSON. Its shape is in docs/status.md."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

import orjson

from unstuck.api.rest.limits import limits_document
from unstuck.api.rest.messages import Response, Scope
from unstuck.core.batching import BatchingParameters
from unstuck.core.models import AllVersions, ModelConfig, Specific, VersionChoice, VersionStatus
from unstuck.core.process import limits, resident_bytes
from unstuck.errors import NotEnoughMemory, Quarantined, UnstuckError
from unstuck.lifecycle.harness import AvailableVersion
from unstuck.monitor.constant_log import diagnose_command
from unstuck.monitor.diversity import DiversityMonitor
from unstuck.monitor.events import EventHistory

STATUS_PATH = "/statusz"
SCHEMA = 1
WHY_NOT_MERGED = "why_not_merged"  # a fact of a version, by signature, which is shown with that
ANYWHERE = ("0.0.0.0", "::")


class KnownModels(Protocol):
    """What the page asks of the manager."""

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]: ...

    def statuses(self) -> dict[str, list[VersionStatus]]: ...

    def available(self) -> list[AvailableVersion]: ...

    @property
    def labels(self) -> Mapping[str, Mapping[str, int]]: ...

    @property
    def ready(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server listens; a port is 0 where it does not."""

    host: str
    rest_port: int
    grpc_port: int
    grpc_socket_path: str = ""
    rest_tls: bool = False
    grpc_tls: bool = False

    def target(self, name: str, version: int) -> str:
        """A version as ``unstuck diagnose`` takes it, on this machine; empty where there is no port."""
        host = "localhost" if self.host in ANYWHERE else f"[{self.host}]" if ":" in self.host else self.host
        if self.rest_port:
            scheme = "https" if self.rest_tls else "http"
            return f"{scheme}://{host}:{self.rest_port}/v1/models/{quote(name, safe='')}/versions/{version}"
        if not self.grpc_port:
            return ""
        scheme = "grpcs" if self.grpc_tls else "grpc"
        return f"{scheme}://{host}:{self.grpc_port}/{quote(name, safe='')}/versions/{version}"


class StatusPage:
    """The page. Called on any thread."""

    def __init__(
        self,
        server_version: str,
        addresses: Callable[[], Addresses],
        plan: Callable[[], Sequence[ModelConfig]],
        models: KnownModels,
        history: EventHistory,
        diversity: DiversityMonitor | None,
        learned: Callable[[AvailableVersion, str], Mapping[str, Any] | None] = lambda version, signature: None,
        admission: Callable[[], Mapping[str, Mapping[str, Any]]] = dict,
    ) -> None:
        """What the page shows.

        Args:
            server_version: of the software.
            addresses: where it listens.
            plan: the models that are to be served.
            models: their versions.
            history: what happened to them.
            diversity: what is known of their answers; None where nobody watches them.
            admission: of each model that was called, what is in flight, what may be, and what was refused.
            learned: which batches were found to pay for a version's signature; None where nothing is known.
        """
        self._server_version = server_version
        self._addresses = addresses
        self._plan = plan
        self._models = models
        self._history = history
        self._diversity = diversity
        self._learned = learned
        self._admission = admission
        self._started = time.time()

    def __call__(self, scope: Scope) -> Response:
        del scope
        return Response(200, orjson.dumps(self.document()))

    def document(self) -> dict[str, Any]:
        """The page as values of JSON."""
        return {
            "schema": SCHEMA,
            "server": self._server(),
            "models": self._all_models(),
            "events": [_event(asdict(each)) for each in self._history.latest()],
        }

    def _server(self) -> dict[str, Any]:
        allowed = limits()
        return {
            "name": "unstuck",
            "version": self._server_version,
            "ready": self._models.ready,
            "pid": os.getpid(),
            "started": as_time(self._started),
            "uptime_s": round(time.time() - self._started, 1),
            **asdict(self._addresses()),
            "memory_bytes": resident_bytes(),
            "memory_limit_bytes": allowed.memory_bytes,
            "cpus": allowed.cpus,
            "limits": limits_document(),
            "answer_diversity": self._diversity is not None,
        }

    def _all_models(self) -> dict[str, Any]:
        configs = {model.name: model for model in self._plan()}
        serving = {(each.name, each.version): each for each in self._models.available()}
        labels, admission = self._models.labels, self._admission()
        return {
            name: {
                **(_config(configs[name]) if name in configs else {"base_path": None}),
                "labels": dict(labels.get(name, {})),
                "admission": admission.get(name),
                "problem": "" if statuses else self._problem(name),
                "versions": {
                    str(each.version): self._version(name, each, serving.get((name, each.version)))
                    for each in sorted(statuses, key=lambda each: each.version)
                },
            }
            for name, statuses in self._models.statuses().items()
        }

    def _problem(self, name: str) -> str:
        """Why a model has no version."""
        try:
            self._models.status(name)
        except UnstuckError as error:
            return str(error)
        return ""

    def _version(self, name: str, status: VersionStatus, serving: AvailableVersion | None) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "state": status.state.name,
            "since": as_time(self._history.since(name, status.version)),
            "error": str(status.error or ""),
            "needs_bytes": status.error.needed if isinstance(status.error, NotEnoughMemory) else None,
            "quarantined": _quarantine(status.error) if isinstance(status.error, Quarantined) else None,
        }
        if serving is None:
            return shown
        watch = serving.watch
        return {
            **shown,
            **_facts(serving),
            "signatures": self._signatures(serving),
            "unlike_training": None if watch is None else {watch.signature_name: dict(watch.counts)},
        }

    def _signatures(self, serving: AvailableVersion) -> dict[str, Any]:
        name, version, path = serving.name, serving.version, str(serving.facts.get("path", ""))
        answers = self._diversity.document(name, version) if self._diversity else {}
        target = self._addresses().target(name, version)
        for signature_name, known in answers.items():
            known["since"] = as_time(known["since"])
            known["diagnose"] = diagnose_command(target, signature_name, path) if known["flagged"] else None
        reasons: Any = serving.facts.get(WHY_NOT_MERGED, {})
        waits: Mapping[str, BatchingParameters] = serving.batching.parameters if serving.batching else {}
        return {
            signature_name: {
                "merged": signature_name in serving.mergeable,
                "why_not_merged": reasons.get(signature_name, ""),
                "batching": asdict(waits[signature_name]) if signature_name in waits else None,
                "learned_batch": self._learned(serving, signature_name),
                "answers": answers.get(signature_name),
            }
            for signature_name, signature in serving.servable.signatures.items()
            if signature.inputs
        }


def _facts(version: AvailableVersion) -> dict[str, object]:
    """As they are now."""
    shown = {name: fact for name, fact in version.facts.items() if name != WHY_NOT_MERGED}
    return {name: fact() if callable(fact) else fact for name, fact in shown.items()}


def as_time(seconds: float | None) -> str | None:
    """Seconds of the epoch as ISO 8601 has it, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _quarantine(why: Quarantined) -> dict[str, Any]:
    return {
        "reason": why.kind,
        "why": why.reason,
        "since": as_time(why.since),
        "attempts": why.attempts,
        "problem": why.problem,
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "time": as_time(event["time"])}


def _config(model: ModelConfig) -> dict[str, Any]:
    log = model.request_log
    return {
        "base_path": str(model.base_path),
        "policy": _policy(model.versions),
        "platform": model.platform or None,
        "request_log": None if log is None else asdict(log),
    }


def _policy(versions: VersionChoice) -> dict[str, Any]:
    if isinstance(versions, AllVersions):
        return {"all": True}
    if isinstance(versions, Specific):
        return {"specific": sorted(versions.versions)}
    return {"latest": versions.count}
