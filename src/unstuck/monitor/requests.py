"""What calls are counted by. A call only leaves a record behind; records are added up many at a time."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from unstuck.core.observers import AnsweredCalls, Api, Headers, OtherCall
from unstuck.errors import Code, UnstuckError
from unstuck.monitor import official
from unstuck.monitor.families import Family, FamilySource
from unstuck.monitor.instruments import Counter, Histogram, Scale
from unstuck.monitor.versions import Version, VersionMetrics

MAX_RECORDS = 512  # that wait to be added up
MAX_STRANGERS = 20  # names of models that there are not, each counted by itself; a client could send any number
MAX_NAME_CHARACTERS = 64
OTHERS = "_other"
KEPT_S = 300.0  # a scraper comes by once more after a version has ended; then its calls are forgotten
MAX_KINDS = 200  # of calls; beyond that, those of ended versions are forgotten at once

CALL = ("model", "version", "signature", "api", "method")
SECONDS = Scale(
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60], unit=1e9
)
CALLS = Scale([2**power for power in range(9)])
_OFFICIALLY_COUNTED = {"rest": {"Predict", "Classify", "Regress", "GetModelMetadata", "GetModelStatus", ""}}
_OFFICIALLY_COUNTED["grpc"] = _TIMED = {"Predict", "Classify", "Regress"}
_ENTRYPOINTS = {"rest": "REST", "grpc": "GRPC"}

# Read by the thousand, and twice as fast as by generator expressions.
_ARRIVED, _PARSE, _DONE = attrgetter("arrived_ns"), attrgetter("parse_ns"), attrgetter("done_ns")
_RUN, _ENCODE = attrgetter("ran.run_ns"), attrgetter("ran.encode_ns")
_REQUEST_BYTES, _RESPONSE_BYTES = attrgetter("request_bytes"), attrgetter("response_bytes")
_WARNINGS = attrgetter("warnings")

Numbers = NDArray[np.int64]


class RequestMetrics(FamilySource):
    """A ``CallObserver``. Thread-safe."""

    wants_headers = False

    def __init__(self, models: VersionMetrics) -> None:
        """``models`` says which there are."""
        self._models = models
        self._lock = threading.Lock()
        self._waiting: dict[tuple[Api, str, str, int, str], deque[AnsweredCalls]] = {}
        self._strangers: set[str] = set()
        self._requests = Counter("unstuck_requests_total", "Calls, by how they ended.", [*CALL, "code"])
        self._warnings = Counter(
            "unstuck_request_warnings_total", "What was sent and not used, or not as declared.", CALL
        )
        self._request_bytes = Counter("unstuck_request_bytes_total", "Requests' bytes, uncompressed.", CALL)
        self._response_bytes = Counter("unstuck_response_bytes_total", "Answers' bytes, uncompressed.", CALL)
        self._runs = Counter("unstuck_runs_total", "Runs of the model; one may answer several calls.", CALL)
        self._batches = Histogram("unstuck_run_calls", "Calls that one run of the model answered.", CALL, CALLS)
        self._latency = Histogram(
            "unstuck_request_duration_seconds", "From a call's arrival to its answer.", CALL, SECONDS
        )
        self._stages = Histogram(
            "unstuck_stage_duration_seconds", "What a call's time went to.", [*CALL, "stage"], SECONDS
        )
        self._official_count = official.request_count()
        self._official_latency = official.request_latency()
        self._official_runtime = official.runtime_latency()
        self._example_counts = official.request_example_counts()
        self._example_total = official.request_example_count_total()

    # In each call's way.

    def answered(self, calls: AnsweredCalls, headers: Sequence[Headers]) -> None:
        ran = calls.ran
        key = calls.api, calls.method, ran.model, ran.version, ran.signature
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._begun(key)
        waiting.append(calls)
        if len(waiting) >= MAX_RECORDS:
            with self._lock:
                self._add_up(waiting)

    def ended(self, call: OtherCall) -> None:
        code = call.code
        model = self._bounded(call.model)
        asked = call.error.about if isinstance(call.error, UnstuckError) else None
        version, signature = (str(asked[0]), asked[1]) if asked else ("", "")
        labels = model, version, signature, call.api, call.method
        self._requests.add((*labels, code.name))
        self._request_bytes.add(labels, call.request_bytes)
        self._response_bytes.add(labels, call.response_bytes)
        if call.method in _OFFICIALLY_COUNTED[call.api]:
            self._official_count.add((model, code.name))
            if code is Code.OK:
                took_ns = call.done_ns - call.arrived_ns
                self._official_latency.observe((model, "", _ENTRYPOINTS[call.api]), took_ns)

    def _bounded(self, name: str) -> str:
        """``name``, or what strangers beyond the first are counted by."""
        if not name or name in self._strangers or name in self._models.names:
            return name
        if len(self._strangers) >= MAX_STRANGERS or len(name) > MAX_NAME_CHARACTERS:
            return OTHERS
        self._strangers.add(name)
        return name

    def _begun(self, key: tuple[Api, str, str, int, str]) -> deque[AnsweredCalls]:
        with self._lock:
            if len(self._waiting) >= MAX_KINDS:
                serving = self._models.versions
                self._forget(lambda version: version not in serving)
            return self._waiting.setdefault(key, deque())

    # At each scrape, and once many records wait.

    def families(self) -> Iterable[Family]:
        with self._lock:
            for waiting in list(self._waiting.values()):
                self._add_up(waiting)
            if gone := self._models.take_long_ended(KEPT_S):
                self._forget(gone.__contains__)
        ours = (self._requests, self._latency, self._stages, self._runs, self._batches)
        ours += (self._warnings, self._request_bytes, self._response_bytes)
        theirs = (self._official_count, self._official_latency, self._official_runtime)
        examples = (self._example_counts, self._example_total)
        return chain.from_iterable(each.families() for each in (*theirs, *examples, *ours))

    def _add_up(self, waiting: deque[AnsweredCalls]) -> None:
        records = [waiting.popleft() for _ in range(len(waiting))]  # others may add to it meanwhile
        if not records:
            return
        first = records[0]
        ran = first.ran
        labels = ran.model, str(ran.version), ran.signature, first.api, first.method
        calls = _numbers(map(len, map(_ARRIVED, records)))
        run = np.repeat(_numbers(map(_RUN, records)), calls)
        encode = np.repeat(_numbers(map(_ENCODE, records)), calls)
        parse = _numbers(chain.from_iterable(map(_PARSE, records)))
        done = np.repeat(_numbers(map(_DONE, records)), calls)
        took = done - _numbers(chain.from_iterable(map(_ARRIVED, records)))
        queue = took - parse - run - encode
        self._latency.add(labels, took)
        for stage, times in (("parse", parse), ("queue", queue), ("run", run), ("encode", encode)):
            self._stages.add((*labels, stage), times)
        self._requests.add((*labels, Code.OK.name), len(took))
        self._runs.add(labels, len(records))
        self._batches.add(labels, calls)
        self._request_bytes.add(labels, sum(map(_REQUEST_BYTES, records)))
        self._response_bytes.add(labels, sum(map(_RESPONSE_BYTES, records)))
        if warnings := sum(map(_WARNINGS, records)):
            self._warnings.add(labels, warnings)
        self._add_officially(records, took, run)

    def _add_officially(self, records: Sequence[AnsweredCalls], took: Numbers, run: Numbers) -> None:
        api, method, name = records[0].api, records[0].method, records[0].ran.model
        if method in _TIMED:
            self._official_count.add((name, Code.OK.name), len(took))
            label = method.lower() if api == "rest" else method  # what TensorFlow Serving has there
            self._official_latency.add((name, label, _ENTRYPOINTS[api]), took)
            self._official_runtime.add((name, method, official.RUNTIME), run)
        elif method == "MultiInference":
            examples = _numbers(record.ran.examples for record in records)
            self._example_counts.add((name,), examples)
            self._example_total.add((name,), int(examples.sum()))

    def _forget(self, is_gone_version: Callable[[Version], bool]) -> None:
        """Keeps the page from growing with every version that ever served; the official metrics go by model."""

        def is_gone(labels: Mapping[str, str]) -> bool:
            return bool(labels["version"]) and is_gone_version((labels["model"], int(labels["version"])))

        for key in [key for key in self._waiting if is_gone_version((key[2], key[3]))]:
            self._add_up(self._waiting.pop(key))
        for each in (self._requests, self._warnings, self._request_bytes, self._response_bytes, self._runs):
            each.forget(is_gone)
        self._latency.forget(is_gone)
        self._stages.forget(is_gone)
        self._batches.forget(is_gone)


def _numbers(values: Iterable[int]) -> Numbers:
    return np.fromiter(values, np.int64)
