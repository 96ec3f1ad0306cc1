"""The composition root: a configuration in, a running server out. The only module that knows everyone."""

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from unstuck import engines
from unstuck.api.grpc.listener import GrpcAddresses, GrpcListener
from unstuck.api.grpc.service import Admin, GrpcService
from unstuck.api.rest.app import RestApp, RestOptions
from unstuck.api.rest.listener import RestListener
from unstuck.batching.proof import why_not_mergeable
from unstuck.config.model_config_file import models_in, read_text
from unstuck.config.settings import AUTO_PORT, OnSkew, ServerConfig
from unstuck.config.tls import read_tls_config
from unstuck.core.models import ModelConfig, State, VersionStatus
from unstuck.core.observers import VersionObserver
from unstuck.core.servables import Engine, InputWatch, Loader, Servable
from unstuck.engines.tensorflow import TensorFlowEngine, compile_stage
from unstuck.errors import LoadFailed, UnstuckError
from unstuck.lifecycle.catalogue import Catalogue
from unstuck.lifecycle.harness import Accepted
from unstuck.lifecycle.manager import Manager, ManagerOptions
from unstuck.lifecycle.policies import Policy, availability_preserving, resource_preserving
from unstuck.lifecycle.polling import Repeated, Source
from unstuck.lifecycle.source import VersionPath, versions_in
from unstuck.pipeline import PLACE, PROFILE

log = logging.getLogger(__name__)
events = logging.getLogger("unstuck.versions")  # what an operator wants to read while the server runs

GC_THRESHOLDS = (10_000, 20, 50)  # requests leave few cycles; the default would look for them every 40 requests
WORKERS_PER_CPU = 4  # as TensorFlow Serving's --rest_api_num_threads and --grpc_max_threads
UNLOAD_TIMEOUT_S = 5.0  # of a stopping server, for the calls that outlasted its draining
POLICIES: dict[str, Policy] = {
    "availability_preserving": availability_preserving,
    "resource_preserving": resource_preserving,
}

Failed = Callable[[UnstuckError], None]


class Server(VersionObserver):
    """A server on the running event loop: ``start``, ``load_models``, ``stop``, each once, from that loop."""

    def __init__(self, config: ServerConfig) -> None:
        """Plans what to load and binds the ports; nothing is loaded yet.

        Raises:
            SetupError: no such folder, no versions in it, labels that cannot be given, or a port that is taken.
        """
        self._config = config
        self._engines = [_configured(engine, config) for engine in engines.installed()]
        self._failed: Failed | None = None
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.models = Manager(self._loader_of, self._accept, _manager_options(config), [self])
        self._source = Source(self.models, self._is_version, config.poll_wait_s)
        self._catalogue = Catalogue(self.models, self._source, allow_unavailable_labels=config.allow_unavailable_labels)
        self._config_file: ConfigFile | None = None
        if config.model_config_file:
            platforms = _platforms(self._engines)
            self._config_file = ConfigFile(
                config.model_config_file, platforms, config.model_config_poll_s, self._catalogue
            )
        else:
            self._plan(config.models)
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
    def plan(self) -> tuple[ModelConfig, ...]:
        """The models that are to be served."""
        return self._catalogue.models

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

    async def load_models(self, failed: Failed) -> None:
        """Loads the versions that there are, off the loop; those that come later are loaded as they come.

        Args:
            failed: hears of each model without versions, and of each version that cannot be loaded, on any thread.
        """
        self._failed = failed
        for name, problem in (await asyncio.to_thread(self._source.poll)).items():
            problem.message = f"Model {name!r}: {problem.message}"
            failed(problem)
        await asyncio.to_thread(self.models.wait_until_settled, [model.name for model in self.plan])
        self._failed = None
        if self._stopped:
            return
        if self._grpc:
            await self._grpc.set_serving(self.models.ready)
        gc.collect()
        gc.freeze()  # what is loaded stays: keep the collector from walking it between requests
        gc.set_threshold(*GC_THRESHOLDS)
        self._loop = asyncio.get_running_loop()
        self._source.start()
        if self._config_file:
            self._config_file.start()

    def version_changed(self, name: str, status: VersionStatus) -> None:
        """Says what happened; called by the threads of the manager."""
        loop = self._loop  # None before everything is loaded, and once the server stops
        if status.state is State.END and status.error is not None:
            (self._failed or events.error)(status.error)
        elif loop is not None:
            events.info("Model %r version %d: %s", name, status.version, status.state.name)
        if loop is not None:
            loop.call_soon_threadsafe(self._update_health)

    def _update_health(self) -> None:
        if self._grpc and self._loop is not None:
            task = self._loop.create_task(self._grpc.set_serving(self.models.ready))
            self._tasks.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Finishes the requests in flight, then unloads everything."""
        self._source.stop()
        if self._config_file:
            self._config_file.stop()
        self._loop, self._stopped = None, True
        self._rest.draining = True
        stopping = [self._grpc.stop(self._config.drain_timeout_s)] if self._grpc else []
        if self._listener:
            stopping.append(self._listener.stop(self._config.drain_timeout_s))
        await asyncio.gather(*stopping)
        self._workers.shutdown(wait=self._rest.in_flight == 0, cancel_futures=True)
        self._grpc_workers.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.models.stop, UNLOAD_TIMEOUT_S)

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
        service = GrpcService(
            self.models,
            strict_inputs=config.strict_inputs,
            tensor_content=config.tensor_content,
            admin=Admin(self._catalogue.reload, _platforms(self._engines), config.allow_remote_admin),
        )
        return GrpcListener(addresses, service, self._grpc_workers, has_health=config.grpc_health)

    def _plan(self, models: tuple[ModelConfig, ...]) -> None:
        if self._config.poll_wait_s >= 0:
            for model in models:  # a path on the command line may be mistyped; one in a file may be filled later
                if not self._is_version(model.base_path):
                    versions_in(model.base_path)
        self._catalogue.set_models(models)

    def _is_version(self, path: Path) -> bool:
        return any(engine.recognises(path) for engine in self._engines)

    def _loader_of(self, name: str, found: VersionPath) -> Loader:
        platform = next((model.platform for model in self.plan if model.name == name), "")
        for engine in self._engines:
            if engine.recognises(found.path):
                if platform not in ("", engine.platform):
                    raise LoadFailed(
                        f"{found.path} is of the platform {engine.platform!r}, and model_platform says {platform!r}."
                    )
                return _loader(engine, found.path, self._config.pipeline_files.get(name))
        raise _unrecognised(found.path)

    def _accept(self, name: str, found: VersionPath, servable: Servable) -> Accepted:
        """What a loaded version must pass before it serves."""
        del name
        return Accepted(_mergeable(servable), _watch(found.path, self._config.on_skew, servable))


class ConfigFile:
    """``--model_config_file``, read again while the server runs. ``start`` and ``stop`` once each."""

    def __init__(self, path: Path, platforms: Collection[str], wait_s: float, catalogue: Catalogue) -> None:
        """Hands its models to the catalogue. Raises SetupError where that refuses them, or they cannot be read.

        Args:
            path: of the file.
            platforms: the engines' names.
            wait_s: the time between two looks; 0 never looks again.
            catalogue: which models are served.
        """
        self._path = path
        self._platforms = platforms
        self._catalogue = catalogue
        self._text = read_text(path)
        self._said = ""
        self._repeated = Repeated("unstuck-config", wait_s, self._reread)
        catalogue.set_models(models_in(self._text, path, platforms))

    def start(self) -> None:
        """Looks for changes from now on."""
        self._repeated.start()

    def stop(self) -> None:
        """Looks no more."""
        self._repeated.stop()

    def _reread(self) -> None:
        """Applies a file that has changed; one that cannot be is tried again, as what it needs may come."""
        try:
            text = read_text(self._path)
            if text == self._text:
                return
            self._catalogue.reload(models_in(text, self._path, self._platforms))
        except UnstuckError as error:
            if str(error) != self._said:
                log.error("The configuration stays as it was: %s", error)
            self._said = str(error)
        else:
            events.info("The configuration of %s is in force.", self._path)
            self._text, self._said = text, ""


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


def _platforms(installed: Iterable[Engine]) -> tuple[str, ...]:
    return tuple(engine.platform for engine in installed)


def _manager_options(config: ServerConfig) -> ManagerOptions:
    return ManagerOptions(
        policy=POLICIES[config.version_policy],
        load_threads=config.load_threads,
        unload_threads=config.unload_threads,
        load_retries=config.load_retries,
        load_retry_interval_s=config.load_retry_interval_s,
    )


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
    for number, child in enumerate(sorted(path.iterdir()) if path.is_dir() else ()):
        if number == 8:
            yield "…"
            return
        yield child.name
