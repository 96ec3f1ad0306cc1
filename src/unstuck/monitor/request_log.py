"""The request log: a share of the calls and their answers, as TFRecord files of PredictionLog.

A call costs a random number, and a place in a queue if it is drawn; a thread does the rest. What the queue or the disk
has no room for is dropped, counted and said.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import random

from google.protobuf.message import DecodeError, EncodeError

from unstuck.core.models import ModelConfig
from unstuck.core.observers import InferenceObserver
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.errors import UnstuckError
from unstuck.monitor import official
from unstuck.monitor.families import Family, FamilySource
from unstuck.monitor.log_records import LoggedCall, record
from unstuck.monitor.model_log import ModelLog

FLUSH_S = 0.5
MAX_CALLS = 10_000  # that wait for the thread
MAX_BYTES = 64 << 20
BATCH = 500  # records in one write
TURN = 4  # records that are made between two rests
REST_S = 0.0002  # for the threads that answer calls: Python runs one at a time

Put = Callable[[ModelLog, LoggedCall], None]


class RequestLogs(FamilySource):
    """The logs of all models. Thread-safe; ``start`` and ``stop`` once each."""

    def __init__(
        self,
        models: Callable[[], Iterable[ModelConfig]],
        *,
        max_bytes: int,
        redacted: frozenset[str] = frozenset(),
        writers: int = 1,
    ) -> None:
        """Nothing is written before ``start``.

        Args:
            models: what is served now, and how it is to be logged.
            max_bytes: of each model's files together.
            redacted: inputs and features whose values are not logged.
            writers: how many processes log the calls of the same models.
        """
        self._models = models
        self._max_bytes = max_bytes
        self._redacted = redacted
        self._writers = writers
        self._logs: dict[str, ModelLog] = {}
        self._queue: deque[tuple[ModelLog, LoggedCall]] = deque()
        self._queued_bytes = 0  # about: threads add to it without a lock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="unstuck-request-log", daemon=True)

    def start(self) -> None:
        """Writes from now on, every half second."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits, and closes the files."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def counts(self) -> dict[str, tuple[int, int]]:
        """By model, how many calls were logged, and how many were drawn and dropped."""
        with self._lock:
            return {name: (each.logged, each.dropped) for name, each in self._logs.items()}

    def families(self) -> Iterator[Family]:
        """The counts as TensorFlow Serving's metric."""
        counter = official.request_log_count()
        for name, (logged, dropped) in self.counts().items():
            for code, count in (("OK", logged), ("RESOURCE_EXHAUSTED", dropped)):
                if count:
                    counter.add((name, code), count)
        yield from counter.families()

    def observer(self, name: str, version: int, signatures: Mapping[str, Signature]) -> "VersionLog":
        """What logs the calls of one version, as its model's configuration says at the time."""
        with self._lock:
            model_log = self._logs.setdefault(name, ModelLog(name, self._max_bytes, self._writers))
        self._configure()
        outputs = {each.name: len(each.outputs) for each in signatures.values()}
        return VersionLog(name, version, outputs, model_log, self._put)

    def _put(self, model_log: ModelLog, call: LoggedCall) -> None:
        if len(self._queue) >= MAX_CALLS or self._queued_bytes >= MAX_BYTES:
            with self._lock:
                model_log.drop("they came faster than they could be written")
            return
        self._queued_bytes += call.size_bytes()
        self._queue.append((model_log, call))
        if len(self._queue) == MAX_CALLS // 2 or self._queued_bytes >= MAX_BYTES // 2:
            self._wake.set()

    def _work(self) -> None:
        while not self._stopped:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            self._configure()
            self._write_queued()
        self._write_queued()
        for each in self._logs.values():
            each.close()

    def _configure(self) -> None:
        """Takes over what has changed: a reload changes it while versions serve."""
        wanted = {model.name: model.request_log for model in self._models()}
        with self._lock:
            for name, each in self._logs.items():
                each.configure(wanted.get(name))

    def _write_queued(self) -> None:
        waiting = len(self._queue)
        self._queued_bytes = 0
        for start in range(0, waiting, BATCH):
            self._write_some(min(BATCH, waiting - start))
        with self._lock:
            for each in self._logs.values():
                each.say()
                if not each.rate:
                    each.close()

    def _write_some(self, count: int) -> None:
        made: dict[ModelLog, list[bytes]] = {}
        for number in range(count):
            model_log, call = self._queue.popleft()
            if serialised := self._record(model_log, call):
                made.setdefault(model_log, []).append(serialised)
            if number % TURN == TURN - 1:
                time.sleep(REST_S)
        for model_log, records in made.items():
            model_log.write(records)

    def _record(self, model_log: ModelLog, call: LoggedCall) -> bytes:
        try:
            return record(call, self._redacted)
        except (UnstuckError, ValueError, DecodeError, EncodeError) as error:
            with self._lock:
                model_log.drop(str(error))
            return b""


class VersionLog(InferenceObserver):
    """Logs a share of the calls of one version. Thread-safe."""

    def __init__(self, model: str, version: int, outputs: Mapping[str, int], model_log: ModelLog, put: Put) -> None:
        """What to log, and where to.

        Args:
            model: its name.
            version: its number.
            outputs: how many outputs each signature has.
            model_log: says which share of the calls is logged.
            put: takes a call that is.
        """
        self._model = model
        self._version = version
        self._outputs = outputs
        self._log = model_log
        self._put = put

    def ran(self, signature: Signature, inputs: Tensors, outputs: Tensors, rows: Sequence[int]) -> None:
        """Logs a predict call, or each of several that ran as one, if it is drawn."""
        rate = self._log.rate
        if not rate:
            return
        if not rows:
            if random() < rate:
                self._predict(signature, inputs, outputs)
            return
        end = 0
        for count in rows:
            start, end = end, end + count
            if random() < rate:
                self._predict(signature, _rows(inputs, start, end), _rows(outputs, start, end))

    def inferred(
        self, methods: Sequence[str], signatures: Sequence[Signature], examples: Tensor, outputs: Sequence[Tensors]
    ) -> None:
        """Logs a classify, regress or multi-inference call, if it is drawn."""
        rate = self._log.rate
        if rate and random() < rate:
            inputs = dict.fromkeys(signatures[0].inputs, examples)
            self._log_call(methods, signatures, inputs, outputs)

    def _predict(self, signature: Signature, inputs: Tensors, outputs: Tensors) -> None:
        is_filtered = len(signature.outputs) != self._outputs.get(signature.name)
        self._log_call((), (signature,), inputs, (outputs,), is_filtered=is_filtered)

    def _log_call(
        self,
        methods: Sequence[str],
        signatures: Sequence[Signature],
        inputs: Tensors,
        outputs: Sequence[Tensors],
        *,
        is_filtered: bool = False,
    ) -> None:
        now, rate = time.time(), self._log.rate
        call = LoggedCall(self._model, self._version, rate, now, methods, signatures, inputs, outputs, is_filtered)
        self._put(self._log, call)


def _rows(tensors: Tensors, start: int, end: int) -> Tensors:
    return {alias: array[start:end] for alias, array in tensors.items()}
