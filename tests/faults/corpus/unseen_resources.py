"""Unseen deployments whose server does not do its work under its limits or its load."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpus import cgroups
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.fresh_nets import deployed
from corpus.given import TARGET_MODEL_REQUESTS, TARGET_REQUESTS
from corpus.live import live, nobody, says
from corpus.mixups import (
    Batcher,
    Crowded,
    OneWorker,
    Replay,
    ReplyCache,
    SharedOutputs,
    TensorCache,
    always,
    refuses,
)
from corpus.resource_memory import MODEL_CGROUP, MODEL_LOG, ON_DEVICE, SERVED_CGROUP, SERVED_LOG
from corpus.server import Hooks
from corpus.serving_log import ServingLog
from corpus.unseen_nets import activity, bikes, churn, clinic, demand, desk, fraud, meter, mood, plants, shop

TARGET = ("target",)
SERVED = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)


def killed_at_the_peak(folder: Path) -> Deployment:
    """Each day at noon the kernel kills the server; the limit is as high as the peak."""
    model, right = plants(folder / "plants", inside=True)
    cgroup = cgroups.v2(
        folder / "cgroup", limit=384 * MIB, peak=384 * MIB, events={"max": 51_207, "oom": 14, "oom_kill": 14}
    )
    return replace(deployed(folder, model, right), cgroup=cgroup)


def no_memory_for_the_tables(folder: Path) -> Deployment:
    """The load of the embeddings fails for want of memory, again at each retry; nothing is served."""
    model, right = shop(folder / "shop")
    why = f"RESOURCE_EXHAUSTED: OOM when allocating tensor with shape[2000000,256] and type float {ON_DEVICE}"
    log = ServingLog("shop").starts().loading().large_allocation(2_048_000_000, 0.4).load_fails(why, retries=4)
    deployment = replace(deployed(folder, model, right), server_log=log.write(folder / "server.log"))
    hooks = Hooks(states={1: "END"}, failures={1: ("RESOURCE_EXHAUSTED", why)})
    return live(deployment, lambda: hooks, name="shop")


def killed_while_serving(folder: Path) -> Deployment:
    """Restarted three times, each after some minutes of work; the log ends each time with the kill."""
    model, right = demand(folder / "demand", inside=True)
    log = ServingLog("demand")
    for start in range(4):
        log.starts() if not start else log.restarts(15.0)
        log.loading().loaded().listening()
        for _ in range(3):
            log.large_allocation(268_435_456, 40.0)
        log.killed("Killed")
    return replace(deployed(folder, model, right), server_log=log.write(folder / "server.log"))


def default_when_busy(folder: Path) -> Deployment:
    """The gateway has a deadline, and says "not ill" for who misses it, with status 200."""
    model, right = clinic(folder / "clinic", inside=False)
    return live(deployed(folder, model, right), lambda: Hooks(around=Crowded(2, always(risk=0.0), 0.05).around))


def queue_is_full(folder: Path) -> Deployment:
    """The batching queue holds few requests, and refuses the others."""
    model, right = meter(folder / "meter")
    full = refuses("The batch scheduling queue to which this task was submitted is full", 503, "UNAVAILABLE")
    return live(deployed(folder, model, right), lambda: Hooks(around=Crowded(3, full, 0.06).around))


def one_worker(folder: Path) -> Deployment:
    """Over gRPC: one worker, and a deadline of less than the queue before it."""
    model, right = activity(folder / "activity")
    return live(deployed(folder, model, right), lambda: Hooks(around=OneWorker(0.12, 0.25).around), protocol="grpc")


def turned_batch(folder: Path) -> Deployment:
    """The batcher takes its answers off a stack: the last caller gets the first one's."""
    model, right = desk(folder / "desk")
    other = lambda index, members: len(members) - 1 - index  # noqa: E731
    return live(deployed(folder, model, right), lambda: Hooks(after=Batcher(other, 0.03).after))


def shared_tensor(folder: Path) -> Deployment:
    """One buffer for the output of all calls, encoded after another call has written to it."""
    model, right = fraud(folder / "fraud")
    return live(deployed(folder, model, right), lambda: Hooks(after=SharedOutputs(["fraud"], 0.02).after))


def by_length(folder: Path) -> Deployment:
    """A cache before the server looks replies up by path and the body's length."""
    model, right = churn(folder / "churn")
    key = lambda path, body: (path, len(body) // 8)  # noqa: E731
    return live(deployed(folder, model, right), lambda: Hooks(proxy=ReplyCache(key, headers=True).proxy))


def by_last_digit(folder: Path) -> Deployment:
    """Recommendations are kept by the reader's last digit, which somebody took for a partition."""
    model, right = shop(folder / "shop")
    digit = lambda inputs: int(inputs["reader"].flat[0]) % 10  # noqa: E731
    return live(deployed(folder, model, right), lambda: Hooks(after=TensorCache(digit).after))


def every_third(folder: Path) -> Deployment:
    """Every third call gets what the call before got: two buffers, exchanged too late."""
    model, right = bikes(folder / "bikes")
    return live(deployed(folder, model, right), lambda: Hooks(around=Replay(lambda n: n % 3 == 2).around))


def first_id_of_the_body(folder: Path) -> Deployment:
    """A CDN that was told to cache POST by a rule of a few characters at the beginning of the body."""
    model, right = mood(folder / "mood")

    def first_id(path: str, body: bytes) -> Any:
        return path, json.loads(body)["instances"][0][0] // 4

    return live(deployed(folder, model, right), lambda: Hooks(proxy=ReplyCache(first_id).proxy))


def gateway_without_a_server(folder: Path) -> Deployment:
    """A gateway answers 502 to all: the pod behind it is gone."""
    model, right = meter(folder / "meter")
    page = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
    return replace(deployed(folder, model, right), serve=lambda: says(502, page))


def wrong_port(folder: Path) -> Deployment:
    """Nothing listens at the address."""
    model, right = churn(folder / "churn")
    return replace(deployed(folder, model, right), serve=nobody)


def still_loading(folder: Path) -> Deployment:
    """The server is up, and the version has been LOADING ever since."""
    model, right = fraud(folder / "fraud")
    return live(deployed(folder, model, right), lambda: Hooks(states={1: "LOADING"}))


TUNED = ("by-last-digit",)  # looked at once it was scored


def _case(name: str, family: str, cause: str, build: Any, given: Any = SERVED) -> Case:
    return Case(f"unseen-{name}", family, f"resources/{cause}", build, given, held_out=name not in TUNED)


CASES = [
    _case("killed-at-the-peak", "convolutional", "memory-limit", killed_at_the_peak, (MODEL_CGROUP, SERVED_CGROUP)),
    _case("no-memory-for-the-tables", "two-tower", "memory-limit", no_memory_for_the_tables, (SERVED_LOG, MODEL_LOG)),
    _case("killed-while-serving", "recurrent", "memory-limit", killed_while_serving, (MODEL_LOG, SERVED_LOG)),
    _case("default-when-busy", "dense", "overload", default_when_busy),
    _case("queue-is-full", "convolutional", "overload", queue_is_full),
    _case("one-worker", "module", "overload", one_worker),
    _case("turned-batch", "embedding", "crosstalk", turned_batch),
    _case("shared-tensor", "tf1", "crosstalk", shared_tensor),
    _case("by-length", "tabular", "stale-response", by_length, (TARGET_MODEL_REQUESTS,)),
    _case("by-last-digit", "two-tower", "stale-response", by_last_digit, (TARGET_MODEL_REQUESTS,)),
    _case("every-third", "multi-output", "stale-response", every_third),
    _case("first-id-of-the-body", "attention", "stale-response", first_id_of_the_body, (TARGET_MODEL_REQUESTS,)),
    _case("gateway-without-a-server", "convolutional", "not-serving", gateway_without_a_server,
          (TARGET, TARGET_MODEL_REQUESTS)),
    _case("wrong-port", "tabular", "not-serving", wrong_port, (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)),
    _case("still-loading", "tf1", "not-serving", still_loading, (TARGET, TARGET_MODEL_REQUESTS)),
]  # fmt: skip
