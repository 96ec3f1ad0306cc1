"""A running server, put together from all the parts."""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from unstuck import __version__
from unstuck.acceptance.version_check import VersionCheck
from unstuck.api.grpc.listener import GrpcAddresses, GrpcListener
from unstuck.api.grpc.predict import PredictBatches
from unstuck.api.grpc.service import Admin, GrpcService
from unstuck.api.rest.admin import AdminCalls
from unstuck.api.rest.app import RestApp
from unstuck.api.rest.listener import RestListener
from unstuck.api.rest.openapi import OPENAPI_PATH, openapi_page
from unstuck.api.rest.own_pages import Page
from unstuck.api.rest.pages import json_page, metrics_page
from unstuck.api.rest.statusz import STATUS_PATH, Addresses, StatusPage
from unstuck.batching.continuous import ContinuousBatches
from unstuck.batching.fair import FairThreads
from unstuck.config.model_config_file import models_in
from unstuck.config.settings import AUTO_PORT, ServerConfig
from unstuck.config.tls import checked_tls_config, read_tls_config
from unstuck.core.cpus import usable_cpus
from unstuck.core.models import ModelConfig, State, VersionStatus
from unstuck.core.observers import VersionObserver
from unstuck.core.servables import Engine
from unstuck.errors import Quarantined, UnstuckError
from unstuck.inference.placement import Placement
from unstuck.inference.timed_calls import TimedCalls
from unstuck.inference.together import turn_of
from unstuck.inference.waiting import WaitingCalls
from unstuck.lifecycle.catalogue import Catalogue
from unstuck.lifecycle.manager import Manager
from unstuck.lifecycle.polling import Source
from unstuck.lifecycle.remote import RemoteModels
from unstuck.lifecycle.remote_look import RemoteLook
from unstuck.monitor.admission import AdmissionMetrics
from unstuck.monitor.constant_log import ConstantLog
from unstuck.monitor.diversity import DiversityMonitor
from unstuck.monitor.events import EventHistory
from unstuck.monitor.monitoring import Monitoring
from unstuck.monitor.request_log import RequestLogs
from unstuck.monitor.versions import skewed_rows
from unstuck.server.access import ServerAccess
from unstuck.server.admission import admission_of
from unstuck.server.batching import ServerBatching, learned_batch
from unstuck.server.config_file import ConfigFile
from unstuck.server.engine_choice import chooser_of
from unstuck.server.memory import LimitMetrics, memory_gate
from unstuck.server.options import connection_limits, manager_options, monitoring_options, rest_options
from unstuck.server.peers import Configuration, Peers
from unstuck.server.quarantine import Operator, Quarantines
from unstuck.server.versions import Versions, installed

events = logging.getLogger("unstuck.versions")  # what an operator wants to read while the server runs

GC_THRESHOLDS = (10_000, 20, 50)  # requests leave few cycles; the default would look for them every 40 requests
WORKERS_PER_CPU = 4  # as TensorFlow Serving's --rest_api_num_threads and --grpc_max_threads
UNLOAD_TIMEOUT_S = 5.0  # of a stopping server, for the calls that outlasted its draining

Failed = Callable[[UnstuckError], None]


class Server(VersionObserver):
    """A server on the running event loop: ``start``, ``load_models``, ``stop``, each once, from that loop."""

    def __init__(self, config: ServerConfig, peers: Peers | None = None) -> None:
        """Plans what to load and binds the ports; nothing is loaded yet.

        Args:
            config: the settings.
            peers: the other processes that serve on the same ports; None where there are none.

        Raises:
            SetupError: no such folder, no versions in it, labels that cannot be given, or a port that is taken.
        """
        self._config = config
        self._peers = peers
        self._engines = installed(config)
        self._failed: Failed | None = None
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._monitoring = Monitoring(monitoring_options(config), __version__)
        self._history = EventHistory()
        told = ConstantLog(self._history, lambda name, version: self._addresses().target(name, version))
        self._diversity = DiversityMonitor(told) if config.answer_diversity else None
        if self._diversity:
            self._monitoring.sources.append(self._diversity)
        check = VersionCheck(warmup_iterations=config.warmup_iterations, golden_rows=config.golden_rows)
        processes = peers.count if peers else 1
        self._request_logs = RequestLogs(
            lambda: self.plan,
            max_bytes=config.request_log_bytes,
            redacted=config.request_log_redact,
            writers=processes,
        )
        self.quarantines = Quarantines(self._history, config.canary_interval_s, config.golden_rows)
        self._monitoring.sources += [check, self._request_logs, self.quarantines, LimitMetrics()]
        batching = config.batching
        self._chooser = chooser_of(config)
        self._batching = (
            ServerBatching(batching, per_model=config.batching_per_model, processes=processes) if batching else None
        )
        versions = Versions(
            config,
            lambda: self.plan,
            lambda name, version: self._addresses().target(name, version),
            self._monitoring,
            check,
            self._request_logs,
            self.quarantines,
            self._diversity,
            self._engines,
            self._batching,
            self._chooser,
        )
        observers = [self, self._monitoring.versions, self._history, self.quarantines]
        options = manager_options(config, peers, memory_gate(config))
        self.models = Manager(versions.loader_of, versions.accept, options, observers)
        self.quarantines.manager = self.models
        remote = RemoteLook(RemoteModels(versions.is_version, config.model_cache_dir), config.remote_poll_wait_s)
        self._source = Source(self.models, versions.is_version, config.poll_wait_s, remote)
        self._catalogue = Catalogue(self.models, self._source, allow_unavailable_labels=config.allow_unavailable_labels)
        self._config_file: ConfigFile | None = None
        if peers:
            self._plan(self._models_of(peers.configuration), is_proven=peers.is_proven)
        elif config.model_config_file:
            platforms = _platforms(self._engines)
            self._config_file = ConfigFile(
                config.model_config_file, platforms, config.model_config_poll_s, self._catalogue
            )
        else:
            self._plan(config.models)
        self._listener = None
        if config.rest_port:
            file, flag = config.rest_tls_config_file, "rest_ssl_config_file"
            tls = checked_tls_config(file, flag) if file else None
            port = 0 if config.rest_port == AUTO_PORT else config.rest_port
            self._listener = RestListener(
                config.host, port, tls, shares_port=peers is not None, limits=connection_limits(config, peers)
            )
        self._workers = FairThreads(self._threads(config.rest_threads), "unstuck-rest")
        self._grpc_workers = FairThreads(self._threads(config.grpc_threads), "unstuck-grpc")
        self._batch_workers = FairThreads(self._threads(0), "unstuck-batches")
        self._admission = admission_of(config, self._threads(0), processes, self._names)
        self._placement = Placement()
        cpus = max(1, usable_cpus() // (peers.count if peers else 1))
        run = WaitingCalls(self._placement).run
        continuous = ContinuousBatches(run, self._batch_workers, cpus=cpus, turn_of=turn_of)
        self._learned = partial(learned_batch, continuous.sizes)
        self._waiting = TimedCalls(continuous) if batching else continuous
        self._server_access = ServerAccess(config)
        self._access = self._server_access.access
        watching = self._monitoring.calls, self._waiting, self._placement, self._access, self._admission
        self._rest = RestApp(self.models, self._workers, rest_options(config), self._all_pages(), *watching)
        self._rest.admin = AdminCalls(Operator(self.quarantines, peers), self._access)
        try:
            self._grpc = self._grpc_listener() if config.grpc_port or config.grpc_socket_path else None
        except UnstuckError:
            if self._listener:
                self._listener.close()
            raise

        grpc = self._grpc
        self._monitoring.watch_in_flight(lambda: {"rest": self._rest.in_flight, "grpc": grpc.in_flight if grpc else 0})
        self._monitoring.sources.append(AdmissionMetrics(self._admission.overview))
        self._monitoring.sources.append(skewed_rows(self.models.available))

    def _threads(self, wanted: int) -> int:
        """This process's share of the server's threads; ``wanted`` is 0 where nobody says how many."""
        threads = wanted or WORKERS_PER_CPU * usable_cpus()
        return max(1, threads // self._peers.count) if self._peers else threads

    def _all_pages(self) -> dict[str, Page]:
        pages = self._pages()
        pages[OPENAPI_PATH] = openapi_page(__version__, self.models.available, (*pages, OPENAPI_PATH))
        return pages

    def _pages(self) -> dict[str, Page]:
        status = StatusPage(
            __version__,
            self._addresses,
            lambda: self.plan,
            self.models,
            self._history,
            self._diversity,
            self._learned,
            self._admission.overview,
        )
        peers, monitoring = self._peers, self._monitoring
        if peers is None:
            return {**dict.fromkeys(self._config.metrics_paths, metrics_page(monitoring.page())), STATUS_PATH: status}
        number = str(peers.number)
        fulfil = self.quarantines.fulfil
        peers.answer(lambda: monitoring.families(number), status.document, self._reload_configuration, fulfil)
        metrics = metrics_page(monitoring.page_of_all(peers.families))
        return {**dict.fromkeys(self._config.metrics_paths, metrics), STATUS_PATH: json_page(peers.document)}

    def _models_of(self, configuration: Configuration) -> Sequence[ModelConfig]:
        """Raises SetupError: the file that it is of has mistakes."""
        assert self._peers is not None
        file = self._config.model_config_file
        if "text" in configuration and file is not None:
            return models_in(configuration["text"], file, _platforms(self._engines))
        return self._peers.models_in(configuration) if configuration else self._config.models

    def _reload_configuration(self, configuration: Configuration) -> None:
        self._catalogue.reload(self._models_of(configuration))

    def _names(self) -> list[str]:
        return [model.name for model in self.plan]

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

    def grpc_batches(self) -> dict[int, int]:
        """See ``GrpcListener.batches``."""
        return self._grpc.batches() if self._grpc else {}

    def _addresses(self) -> Addresses:
        config, tls = self._config, (bool(self._config.rest_tls_config_file), bool(self._config.ssl_config_file))
        return Addresses(config.host, self.rest_port, self.grpc_port, config.grpc_socket_path, *tls)

    async def start(self, *, listens: bool = True) -> None:
        """Answers requests from now on, or from ``listen`` on; readiness follows once the models are loaded."""
        self._request_logs.start()
        self._admission.start()
        self._server_access.start()
        if listens:
            await self.listen()

    async def listen(self) -> None:
        """Answers requests from now on."""
        if self._listener:
            self._listener.start(self._rest)
        if self._grpc:
            await self._grpc.start()
            await self._grpc.set_serving(self.models.ready)

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
        self.quarantines.start()
        if self._config_file:
            self._config_file.start()

    def version_changed(self, name: str, status: VersionStatus) -> None:
        """Says what happened; called by the threads of the manager."""
        loop = self._loop  # None before everything is loaded, and once the server stops
        if isinstance(status.error, Quarantined):
            if status.state is State.END and status.error.attempts:  # why it came there was said
                events.error(status.error)
        elif status.state is State.END and status.error is not None:
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
        self.quarantines.stop()
        self._server_access.stop()
        if self._config_file:
            self._config_file.stop()
        self._loop, self._stopped = None, True
        self._rest.pages.draining = True
        stopping = [self._grpc.stop(self._config.drain_timeout_s)] if self._grpc else []
        if self._listener:
            stopping.append(self._listener.stop(self._config.drain_timeout_s))
        await asyncio.gather(*stopping)
        self._admission.stop()
        if self._batching:
            await asyncio.to_thread(self._batching.stop)
        self._workers.shutdown(wait=self._rest.in_flight == 0, cancel_futures=True)
        self._grpc_workers.shutdown(wait=False, cancel_futures=True)
        self._batch_workers.shutdown(wait=False, cancel_futures=True)
        if self._chooser:
            self._chooser.stop()
        await asyncio.to_thread(self.models.stop, UNLOAD_TIMEOUT_S)
        await asyncio.to_thread(self._request_logs.stop)
        await asyncio.to_thread(self._monitoring.stop)

    def _grpc_listener(self) -> GrpcListener:
        config = self._config
        addresses = GrpcAddresses(
            host=config.host,
            port=None if not config.grpc_port else 0 if config.grpc_port == AUTO_PORT else config.grpc_port,
            socket_path=config.grpc_socket_path,
            tls=read_tls_config(config.ssl_config_file) if config.ssl_config_file else None,
            channel_arguments=config.grpc_channel_arguments,
            front=config.grpc_front,
            max_message_bytes=config.grpc_max_message_bytes,
            shares_port=self._peers is not None,
        )
        reload = self._peers.reload if self._peers else self._catalogue.reload
        service = GrpcService(
            self.models,
            strict_inputs=config.strict_inputs,
            tensor_content=config.tensor_content,
            admin=Admin(reload, _platforms(self._engines)),
            observer=self._monitoring.calls,
            access=self._access,
        )
        calls_of = partial(PredictBatches, service, self._grpc_workers, self._waiting, self._placement, self._admission)
        return GrpcListener(addresses, service, calls_of, has_health=config.grpc_health)

    def _plan(self, models: Sequence[ModelConfig], *, is_proven: bool = False) -> None:
        if self._config.poll_wait_s >= 0 and not self._config.model_config_file:
            for model in models:  # a path on the command line may be mistyped; one in a file may be filled later
                self._source.check(model)
        self._catalogue.set_models(models, is_proven=is_proven)


def _platforms(installed: Iterable[Engine]) -> tuple[str, ...]:
    return tuple(engine.platform for engine in installed)
