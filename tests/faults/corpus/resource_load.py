"""Servers that are right alone: under load they fail or answer something else, or answer another's request."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus import cgroups, datasets, graph_models, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import TARGET_MODEL_REQUESTS, TARGET_REQUESTS
from corpus.live import live
from corpus.mixups import (
    Batcher,
    Breaker,
    Crowded,
    OneWorker,
    Quota,
    SharedInputs,
    SharedOutputs,
    Slots,
    always,
    refuses,
)
from corpus.server import Hooks

OVERLOAD, CROSSTALK = "resources/overload", "resources/crosstalk"
SERVED = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)
THROTTLED = ((*TARGET_REQUESTS, "cgroup"), (*TARGET_MODEL_REQUESTS, "cgroup"))


def queue_full(folder: Path) -> Deployment:
    sent = models.standardized_credit(48, seed=2)
    deployment = deploy(folder, models.dense_tabular(folder / "risk"), {"features": sent})
    full = refuses("The batch scheduling queue to which this task was submitted is full", 503, "UNAVAILABLE")
    return live(deployment, lambda: Hooks(around=Crowded(3, full).around))


def default_when_busy(folder: Path) -> Deployment:
    """A fallback, with status 200, where the answer would come too late."""
    columns, _ = datasets.credit(40, seed=2)
    deployment = deploy(folder, models.tabular_named(folder / "risk"), columns, right=columns)
    return live(deployment, lambda: Hooks(around=Crowded(2, always(probability=0.5)).around))


def one_worker(folder: Path) -> Deployment:
    """One call at a time, and a deadline of 200 ms that is spent in the queue."""
    pictures, _ = datasets.images(36, seed=2)
    sent = (pictures / 255).astype(np.float32)
    deployment = deploy(folder, models.conv_image(folder / "vision"), {"image": sent})
    return live(deployment, lambda: Hooks(around=OneWorker(0.06, 0.2).around))


def cpu_quota(folder: Path) -> Deployment:
    """A fifth of a CPU, under version 2 of cgroups: throttled in 94 of 100 periods."""
    series, _ = datasets.sensors(36, seed=2)
    cgroup = cgroups.v2(folder / "cgroup", cpu_quota=0.2, periods=18_412, throttled=17_310)
    deployment = deploy(folder, models.attention(folder / "forecast"), {"series": series})
    return live(replace(deployment, cgroup=cgroup), lambda: Hooks(around=Quota(0.05, 0.22).around))


def cpu_quota_over_grpc(folder: Path) -> Deployment:
    """Half a CPU for a server that believes it has sixteen, under version 1."""
    sent = models.standardized_credit(60, seed=2)
    cgroup = cgroups.v1(folder / "cgroup", cpu_quota=0.5, periods=90_120, throttled=88_951)
    deployment = deploy(folder, models.tf1_graph(folder / "credit"), {"x": sent}, rows=2)
    quota = replace(deployment, cgroup=cgroup)
    return live(quota, lambda: Hooks(around=Quota(0.04, 0.18).around), protocol="grpc")


def threads_spent(folder: Path) -> Deployment:
    """gRPC's pool of threads: what does not fit in is refused without a word."""
    customer, _ = datasets.credit_matrix(36, seed=2)
    series, _ = datasets.sensors(36, seed=3)
    sent = {"customer": customer, "series": series}
    deployment = deploy(folder, models.multi_output(folder / "bank"), sent)
    spent = refuses("", 429, "RESOURCE_EXHAUSTED")
    return live(deployment, lambda: Hooks(around=Crowded(4, spent).around), protocol="grpc")


def zeros_when_busy(folder: Path) -> Deployment:
    """The accelerator's memory is spent: buffers that nothing was written to."""
    raw, _ = datasets.house_matrix(40, seed=2)
    deployment = deploy(folder, models.regression(folder / "prices"), {"features": raw}, form="column")
    return live(deployment, lambda: Hooks(around=Crowded(4, always(price=0.0)).around))


def breaker(folder: Path) -> Deployment:
    """A burst opens a circuit breaker, and for two seconds everybody is refused."""
    ids = datasets.token_ids(datasets.sentences(44, seed=2)[0])
    deployment = deploy(folder, models.embedding_text(folder / "topics"), {"token_ids": ids})
    return live(deployment, lambda: Hooks(around=Breaker(3, 2.0).around))


def crashes_when_busy(folder: Path) -> Deployment:
    """A thread pool of TensorFlow's that cannot be made larger: an internal error."""
    ids = datasets.token_ids(datasets.sentences(40, seed=2)[0])
    deployment = deploy(folder, models.recurrent(folder / "topics", length=12), {"token_ids": ids})

    no_thread = refuses("Resource temporarily unavailable: thread creation failed", 500, "INTERNAL")
    return live(deployment, lambda: Hooks(around=Crowded(3, no_thread).around))


def shared_input_buffer(folder: Path) -> Deployment:
    sent = models.standardized_credit(48, seed=2)
    deployment = deploy(folder, models.dense_tabular(folder / "risk"), {"features": sent})
    return live(deployment, lambda: Hooks(before=SharedInputs().before))


def off_by_one(folder: Path) -> Deployment:
    """The batcher hands each caller its neighbour's part."""
    columns, _ = datasets.credit(40, seed=2)
    deployment = deploy(folder, models.tabular_named(folder / "risk"), columns)
    next_one = lambda index, members: (index + 1) % len(members)  # noqa: E731
    return live(deployment, lambda: Hooks(after=Batcher(next_one).after))


def last_one_for_all(folder: Path) -> Deployment:
    """A closure over the loop's variable: every caller in a batch gets the last one's answer."""
    sent = models.standardized_credit(40, seed=2)
    deployment = deploy(folder, models.tf1_graph(folder / "credit"), {"x": sent}, form="column")
    last = lambda index, members: len(members) - 1  # noqa: E731
    return live(deployment, lambda: Hooks(after=Batcher(last).after))


def reversed_queue(folder: Path) -> Deployment:
    """Requests wait in a queue, their callers on a stack."""
    pictures, _ = datasets.images(36, seed=2)
    deployment = deploy(folder, models.conv_image(folder / "vision", scaling="inside"), {"image": pictures})
    backwards = lambda index, members: len(members) - 1 - index  # noqa: E731
    return live(deployment, lambda: Hooks(after=Batcher(backwards, 0.03).after))


def sorted_by_length(folder: Path) -> Deployment:
    """Sentences are sorted by length for less padding, and the answers never sorted back."""
    ids = datasets.token_ids(datasets.sentences(48, seed=2)[0])

    def place(index: int, members: object) -> int:
        lengths = [int((inputs["token_ids"] > 0).sum()) for _, inputs in members]  # type: ignore[attr-defined]
        return sorted(range(len(lengths)), key=lengths.__getitem__)[index]

    deployment = deploy(folder, models.recurrent(folder / "topics", cell="gru", length=12), {"token_ids": ids})
    return live(deployment, lambda: Hooks(after=Batcher(place).after))


def two_slots(folder: Path) -> Deployment:
    """Two places for answers that wait to be sent, over gRPC, for any number of calls."""
    raw, _ = datasets.house_matrix(40, seed=2)
    columns = {name: raw[:, at] for at, name in enumerate(datasets.HOUSE_COLUMNS)}
    deployment = deploy(folder, graph_models.house_columns(folder / "prices"), columns)
    return live(deployment, lambda: Hooks(around=Slots(2).around), protocol="grpc")


def one_shared_output(folder: Path) -> Deployment:
    """Of three outputs one has a buffer that all calls share."""
    customer, _ = datasets.credit_matrix(36, seed=2)
    series, _ = datasets.sensors(36, seed=3)
    sent = {"customer": customer, "series": series}
    deployment = deploy(folder, models.multi_output(folder / "bank"), sent)
    return live(deployment, lambda: Hooks(after=SharedOutputs(["forecast"]).after), protocol="grpc")


CASES = [
    Case("queue-full", "dense", OVERLOAD, queue_full, SERVED, quick=True),
    Case("default-when-busy", "tabular", OVERLOAD, default_when_busy, (*SERVED, (*TARGET_MODEL_REQUESTS, "golden"))),
    Case("one-worker-and-a-deadline", "convolutional", OVERLOAD, one_worker, SERVED, held_out=True),
    Case(
        "cpu-quota",
        "attention",
        OVERLOAD,
        cpu_quota,
        THROTTLED,
    ),
    Case(
        "cpu-quota-over-grpc",
        "tf1",
        OVERLOAD,
        cpu_quota_over_grpc,
        (*THROTTLED, TARGET_MODEL_REQUESTS),
        held_out=True,
    ),
    Case("grpc-threads-spent", "multi-output", OVERLOAD, threads_spent, SERVED, held_out=True),
    Case("zeros-when-busy", "regression", OVERLOAD, zeros_when_busy, SERVED),
    Case("circuit-breaker", "embedding", OVERLOAD, breaker, SERVED, held_out=True),
    Case("crashes-when-busy", "recurrent", OVERLOAD, crashes_when_busy, SERVED),
    Case("shared-input-buffer", "dense", CROSSTALK, shared_input_buffer, SERVED, quick=True),
    Case("batcher-off-by-one", "tabular", CROSSTALK, off_by_one, SERVED),
    Case("last-answer-for-all", "tf1", CROSSTALK, last_one_for_all, SERVED, held_out=True),
    Case("reversed-queue", "convolutional", CROSSTALK, reversed_queue, SERVED, held_out=True),
    Case("sorted-by-length", "recurrent", CROSSTALK, sorted_by_length, SERVED),
    Case("two-slots", "module", CROSSTALK, two_slots, SERVED),
    Case("one-output-shared", "multi-output", CROSSTALK, one_shared_output, SERVED, held_out=True),
]
