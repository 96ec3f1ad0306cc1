"""Third deployments whose server does not do its work under its limits or its load."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus import cgroups
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.given import TARGET_MODEL_REQUESTS, TARGET_REQUESTS
from corpus.live import live, nobody, silent
from corpus.mixups import (
    Batcher,
    Crowded,
    Quota,
    Replay,
    ReplyCache,
    SharedInputs,
    Slots,
    TensorCache,
    always,
    refuses,
)
from corpus.resource_memory import MODEL_CGROUP, MODEL_LOG, SERVED_CGROUP, SERVED_LOG
from corpus.served import Tensors
from corpus.server import Hooks
from corpus.serving_log import ServingLog
from corpus.third_nets import (
    bank,
    belt,
    bidding,
    cars,
    cinema,
    clicks,
    courier,
    deployed,
    hotel,
    newsroom,
    surnames,
    tiles,
    turbine,
)

SERVED = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)


def class_zero_since_the_crash(folder: Path) -> Deployment:
    """Since the kernel killed its worker the server answers class 0, with status 200, to everything."""
    model, right = belt(folder / "belt")
    events = {"max": 8_113, "oom": 6, "oom_kill": 6}
    cgroup = cgroups.v2(folder / "cgroup", limit=256 * MIB, peak=256 * MIB, events=events)

    def class_zero(outputs: Tensors, inputs: Tensors) -> Tensors:
        certain = np.zeros_like(outputs["kind"])
        certain[:, 0] = 1
        return {"kind": certain, "aux_kind": certain, "place": np.zeros_like(outputs["place"])}

    return replace(deployed(folder, model, right, hooks=Hooks(after=class_zero)), cgroup=cgroup)


def killed_on_an_older_kernel(folder: Path) -> Deployment:
    """Version 1 of cgroups: 500 MB, met tens of thousands of times, and eight kills."""
    model, right = cars(folder / "cars")
    cgroup = cgroups.v1(
        folder / "cgroup", limit=500 * MIB, peak=500 * MIB, failures=73_904, kills=8, by_controller=True
    )
    return replace(deployed(folder, model, right), cgroup=cgroup)


def no_memory_for_a_batch(folder: Path) -> Deployment:
    """The log of a server that ends at each large batch, and starts again."""
    model, right = turbine(folder / "turbine")
    log = ServingLog("turbine")
    for start in range(5):
        log.starts() if not start else log.restarts(21.0)
        log.loading().loaded().listening().large_allocation(536_870_912, 95.0)
        log.raw("terminate called after throwing an instance of 'std::bad_alloc'").raw("  what():  std::bad_alloc")
        log.killed("Aborted")
    return replace(deployed(folder, model, right), server_log=log.write(folder / "server.log"))


def share_of_a_core(folder: Path) -> Deployment:
    """A tenth of a core: alone a call takes its time, together they miss the deadline."""
    model, right = tiles(folder / "tiles")
    cgroup = cgroups.v2(
        folder / "cgroup", limit=2048 * MIB, peak=610 * MIB, cpu_quota=0.1, periods=40_000, throttled=36_120
    )
    made = replace(deployed(folder, model, right, count=24), cgroup=cgroup)
    return live(made, lambda: Hooks(around=Quota(0.05, 0.2).around))


def too_many_requests(folder: Path) -> Deployment:
    """The gateway lets two calls in, and refuses what comes beside them."""
    model, right = cinema(folder / "cinema")
    refused = refuses("Too many requests", 429, "RESOURCE_EXHAUSTED")
    return live(deployed(folder, model, right), lambda: Hooks(around=Crowded(2, refused, 0.06).around))


def undecided_when_busy(folder: Path) -> Deployment:
    """Over gRPC: a facade that says one half for both where the model is not done in time."""
    model, right = hotel(folder / "hotel")
    undecided = always(scores=[0.5, 0.5])
    return live(
        deployed(folder, model, right), lambda: Hooks(around=Crowded(2, undecided, 0.06).around), protocol="grpc"
    )


def one_input_buffer(folder: Path) -> Deployment:
    """The handler keeps a request in a global, from which the model reads it a little later."""
    model, right = courier(folder / "courier")
    return live(deployed(folder, model, right), lambda: Hooks(before=SharedInputs(0.03).before))


def three_slots(folder: Path) -> Deployment:
    """Three slots for answers, where up to eight calls are under way."""
    model, right = surnames(folder / "surnames")
    return live(deployed(folder, model, right), lambda: Hooks(around=Slots(3, 0.03).around))


def rotated_batch(folder: Path) -> Deployment:
    """Over gRPC: the batcher hands answers out from the second on."""
    model, right = clicks(folder / "clicks")
    following = lambda index, members: (index + 1) % len(members)  # noqa: E731
    return live(deployed(folder, model, right), lambda: Hooks(after=Batcher(following, 0.04).after), protocol="grpc")


def one_behind(folder: Path) -> Deployment:
    """A captured graph is replayed before its inputs are copied: each answer is the previous request's."""
    model, right = bank(folder / "bank")
    return live(
        deployed(folder, model, right), lambda: Hooks(around=Replay(lambda n: True, keep_replayed=False).around)
    )


def kept_by_year(folder: Path) -> Deployment:
    """A cache of valuations whose key was meant to be the whole car, and is its year."""
    model, right = cars(folder / "cars")
    return live(
        deployed(folder, model, right), lambda: Hooks(after=TensorCache(lambda x: float(x["year"].flat[0])).after)
    )


def kept_for_some_seconds(folder: Path) -> Deployment:
    """A proxy keeps each path's reply for ten seconds, of POST as well."""
    model, right = newsroom(folder / "newsroom")
    return live(
        deployed(folder, model, right), lambda: Hooks(proxy=ReplyCache(lambda path, body: path, ttl_s=10).proxy)
    )


def hangs(folder: Path) -> Deployment:
    """Connections are taken, and nothing is answered: the server waits for a lock that nobody frees."""
    model, right = tiles(folder / "tiles")
    return replace(deployed(folder, model, right), serve=silent)


def nobody_over_grpc(folder: Path) -> Deployment:
    """Over gRPC: the service's port was never published."""
    model, right = cars(folder / "cars")
    return replace(deployed(folder, model, right), serve=lambda: nobody("grpc://{}/model"))


def unloaded(folder: Path) -> Deployment:
    """The version's folder was removed from the store, and the version has ended."""
    model, right = bidding(folder / "bidding")
    why = "No versions of servable model found under base path /models/model"
    return live(deployed(folder, model, right), lambda: Hooks(states={1: "END"}, failures={1: ("NOT_FOUND", why)}))


def _case(name: str, family: str, cause: str, build: Any, given: Any = SERVED) -> Case:
    return Case(f"third-{name}", family, f"resources/{cause}", build, given, held_out=True)


ASKED = (("target",), TARGET_MODEL_REQUESTS)

CASES = [
    _case("class-zero-since-the-crash", "multi-output", "memory-limit", class_zero_since_the_crash,
          (SERVED_CGROUP, ("target", "requests", "cgroup"))),
    _case("killed-on-an-older-kernel", "tabular", "memory-limit", killed_on_an_older_kernel,
          (MODEL_CGROUP, SERVED_CGROUP)),
    _case("no-memory-for-a-batch", "recurrent", "memory-limit", no_memory_for_a_batch, (MODEL_LOG, SERVED_LOG)),
    _case("share-of-a-core", "convolutional", "overload", share_of_a_core, (TARGET_MODEL_REQUESTS, SERVED_CGROUP)),
    _case("too-many-requests", "embedding", "overload", too_many_requests),
    _case("undecided-when-busy", "attention", "overload", undecided_when_busy),
    _case("one-input-buffer", "regression", "crosstalk", one_input_buffer),
    _case("three-slots", "recurrent", "crosstalk", three_slots),
    _case("rotated-batch", "tf1", "crosstalk", rotated_batch),
    _case("one-behind", "dense", "stale-response", one_behind),
    _case("kept-by-year", "tabular", "stale-response", kept_by_year, (TARGET_MODEL_REQUESTS,)),
    _case("kept-for-some-seconds", "embedding", "stale-response", kept_for_some_seconds, (TARGET_MODEL_REQUESTS,)),
    _case("hangs", "convolutional", "not-serving", hangs, (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)),
    _case("nobody-over-grpc", "tabular", "not-serving", nobody_over_grpc, ASKED),
    _case("unloaded", "tf1", "not-serving", unloaded, ASKED),
]  # fmt: skip
