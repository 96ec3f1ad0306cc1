"""The composition root: a configuration in, a running server out. The only module that knows everyone."""

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from unstuck import engines
from unstuck.api.grpc.listener import GrpcAddresses, GrpcListener
from unstuck.api.grpc.service import GrpcService
from unstuck.api.rest.app import RestApp, RestOptions
from unstuck.api.rest.listener import RestListener
from unstuck.batching.proof import why_not_mergeable
from unstuck.config.settings import AUTO_PORT, ModelConfig, OnSkew, ServerConfig
from unstuck.config.tls import read_tls_config
from unstuck.core.servables import Engine, InputWatch, Loader, Servable
from unstuck.engines.tensorflow import TensorFlowEngine, compile_stage
from unstuck.errors import LoadFailed, UnstuckError
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.source import VersionPath, version_folder, versions_in
from unstuck.pipeline import PLACE, PROFILE

log = logging.getLogger(__name__)

GC_THRESHOLDS = (10_000, 20, 50)  # requests leave few cycles; the default would look for them every 40 requests
WORKERS_PER_CPU = 4  # as TensorFlow Serving's --rest_api_num_threads and --grpc_max_threads


@dataclass(frozen=True, slots=True)
class PlannedVersion:
    """A version to load: which model, which folder."""

    name: str
    version: int
    path: Path


class Server:
    """A server on the running event loop: ``start``, ``load_models``, ``stop``, each once, from that loop."""

    def __init__(self, config: ServerConfig) -> None:
        """Plans what to load and binds the ports; nothing is loaded yet.

        Raises:
            SetupError: no such folder, no versions in it, or a port that is taken.
        """
        self._config = config
        self._engines = [_configured(engine, config) for engine in engines.installed()]
        self.plan = [self._plan(model) for model in config.models]
        self.models = Manager(_mergeable)
        for planned in self.plan:
            self.models.aspire(planned.name, planned.version)
        self._listener = None
        if config.rest_port:
            self._listener = RestListener(config.host, 0 if config.rest_port == AUTO_PORT else config.rest_port)
        threads = WORKERS_PER_CPU * (os.cpu_count() or 1)
        self._workers = ThreadPoolExecutor(config.rest_threads or threads, thread_name_prefix="unstuck-rest")
        self._grpc_workers = ThreadPoolExecutor(config.grpc_threads or threads, thread_name_prefix="unstuck-grpc")
        self._rest = RestApp(self.models, self._workers, _rest_options(config))
        try:
            self._grpc = self._grpc_listener() if config.grpc_port or config.grpc_socket_path else None
        except UnstuckError:
            if self._listener:
                self._listener.close()
            raise

    @property
    def rest_port(self) -> int:
        """The bound port of the REST API; 0 where it is disabled."""
        return self._listener.port if self._listener else 0

    @property
    def grpc_port(self) -> int:
        """The bound TCP port of gRPC; 0 where it has none."""
        return self._grpc.port if self._grpc else 0

    @property
    def grpc_front(self) -> str:
        """Which front end serves gRPC: ``native`` or ``grpcio``; empty where none does."""
        return self._grpc.front if self._grpc else ""

    async def start(self) -> None:
        """Answers requests from now on; readiness follows once the models are loaded."""
        if self._listener:
            self._listener.start(self._rest)
        if self._grpc:
            await self._grpc.start()

    async def load_models(self, failed: Callable[[UnstuckError], None]) -> None:
        """Loads every planned version, one after the other, off the loop; ``failed`` hears of each that cannot be."""
        for planned in self.plan:
            try:
                await asyncio.to_thread(self._load, planned)
            except UnstuckError as error:
                failed(error)
        if self._grpc:
            await self._grpc.set_serving(self.models.ready)
        gc.collect()
        gc.freeze()  # what is loaded stays: keep the collector from walking it between requests
        gc.set_threshold(*GC_THRESHOLDS)

    async def stop(self) -> None:
        """Finishes the requests in flight, then unloads everything."""
        self._rest.draining = True
        stopping = [self._grpc.stop(self._config.drain_timeout_s)] if self._grpc else []
        if self._listener:
            stopping.append(self._listener.stop(self._config.drain_timeout_s))
        await asyncio.gather(*stopping)
        self._workers.shutdown(wait=self._rest.in_flight == 0, cancel_futures=True)
        self._grpc_workers.shutdown(wait=False, cancel_futures=True)
        self.models.unload_all()

    def _grpc_listener(self) -> GrpcListener:
        config = self._config
        addresses = GrpcAddresses(
            host=config.host,
            port=None if not config.grpc_port else 0 if config.grpc_port == AUTO_PORT else config.grpc_port,
            socket_path=config.grpc_socket_path,
            tls=read_tls_config(config.ssl_config_file) if config.ssl_config_file else None,
            channel_arguments=config.grpc_channel_arguments,
            front=config.grpc_front,
        )
        service = GrpcService(self.models, strict_inputs=config.strict_inputs, tensor_content=config.tensor_content)
        return GrpcListener(addresses, service, self._grpc_workers, has_health=config.grpc_health)

    def _plan(self, model: ModelConfig) -> PlannedVersion:
        found = self._newest(model.base_path)
        return PlannedVersion(model.name, found.version, found.path)

    def _newest(self, base_path: Path) -> VersionPath:
        if any(engine.recognises(base_path) for engine in self._engines):
            return version_folder(base_path)
        return versions_in(base_path)[-1]

    def _load(self, planned: PlannedVersion) -> None:
        def loader():
            for engine in self._engines:
                if engine.recognises(planned.path):
                    return _loader(engine, planned.path, self._config.pipeline_files.get(planned.name))
            raise _unrecognised(planned.path)

        self.models.load(planned.name, planned.version, loader, partial(_watch, planned.path, self._config.on_skew))


def _loader(engine: Engine, path: Path, pipeline_file: Path | None) -> Loader:
    """The engine's loader of ``path``, with the pipeline, if there is one, inside the graph or around the model."""
    if isinstance(engine, TensorFlowEngine):
        return replace(engine, pipeline_file=pipeline_file).loader(path)
    beside = path / PLACE
    file = pipeline_file or (beside if beside.is_file() else None)
    if file is None:
        return engine.loader(path)
    from unstuck.pipeline.loader import PreparedLoader  # here, as it imports pydantic and PyYAML

    return PreparedLoader(engine.loader(path), file, compile_stage)


def _watch(path: Path, on_skew: OnSkew, servable: Servable) -> InputWatch | None:
    """What compares requests with the training profile in the version's folder; None where there is none."""
    profile = (path if path.is_dir() else path.parent) / PROFILE
    if on_skew == "ignore" or not profile.is_file():
        return None
    from unstuck.inference.skew import watch_requests  # here, as it imports pydantic

    return watch_requests(profile, servable.signatures, on_skew)


def _mergeable(servable: Servable) -> frozenset[str]:
    reasons = {name: why_not_mergeable(servable, each) for name, each in servable.signatures.items()}
    for name, reason in reasons.items():
        log.info("signature %r: calls are %s", name, f"not merged: {reason}" if reason else "merged")
    return frozenset(name for name, reason in reasons.items() if not reason)


def _rest_options(config: ServerConfig) -> RestOptions:
    return RestOptions(
        timeout_s=config.rest_timeout_ms / 1000 if config.rest_timeout_ms > 0 else None,
        cors=config.cors,
        max_body_bytes=config.max_body_bytes,
        strict_inputs=config.strict_inputs,
    )


def _configured(engine: Engine, config: ServerConfig) -> Engine:
    if isinstance(engine, TensorFlowEngine):
        return replace(engine, tags=config.saved_model_tags, op_libraries=config.op_libraries)
    return engine


def _unrecognised(path: Path) -> LoadFailed:
    inside = ", ".join(_listing(path)) or "nothing"
    hint = "Export it with tf.saved_model.save(model, PATH) or model.export(PATH)."
    if file := next(iter(sorted(path.glob("*.onnx"))), None):
        hint = f"Call the file model.onnx, or serve it by itself: unstuck serve {file}"
    if (path / "export.meta").exists():
        hint = (
            "This is a SessionBundle of TensorFlow before 1.0, which no longer loads anywhere: "
            + hint[0].lower()
            + hint[1:]
        )
    return LoadFailed(f"{path} has no saved_model.pb and no model.onnx; it has {inside}.", hint=hint)


def _listing(path: Path) -> Iterator[str]:
    for number, child in enumerate(sorted(path.iterdir())):
        if number == 8:
            yield "…"
            return
        yield child.name
