"""Fresh deployments whose server does not do its work under its limits or its load; none was ever tuned on."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus import cgroups
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.fresh_nets import cellar, deployed, fares, incomes, menu, pairs, ranker, rhythm, scans, sounds
from corpus.given import TARGET_MODEL_REQUESTS, TARGET_REQUESTS
from corpus.live import live, says
from corpus.mixups import Batcher, Crowded, Quota, Replay, ReplyCache, SharedInputs, TensorCache, refuses
from corpus.resource_memory import MODEL_CGROUP, MODEL_LOG, ON_DEVICE, SERVED_CGROUP, SERVED_LOG
from corpus.served import Tensors
from corpus.server import Hooks
from corpus.serving_log import ServingLog

TARGET = ("target",)
SERVED = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)


def killed_in_warm_up(folder: Path) -> Deployment:
    """Each start loads the model, warms it up, and is killed; the pod's back-off grows."""
    model, right = ranker(folder / "ranker")
    log = ServingLog("ranker")
    for start in range(5):
        log.starts() if not start else log.restarts(10.0 * 2**start)
        log.loading().large_allocation(402_653_184, 0.2).killed("Killed")
    cgroup = cgroups.v2(
        folder / "cgroup", limit=256 * MIB, peak=256 * MIB, events={"max": 3310, "oom": 5, "oom_kill": 5}
    )
    return replace(deployed(folder, model, right), server_log=log.write(folder / "server.log"), cgroup=cgroup)


def one_kill_too_many(folder: Path) -> Deployment:
    """The container was given half of its memory; version 1 of cgroups counts two kills."""
    model, right = cellar(folder / "cellar")
    cgroup = cgroups.v1(folder / "cgroup", limit=192 * MIB, peak=192 * MIB, failures=7_021, kills=2)
    return replace(deployed(folder, model, right), cgroup=cgroup)


def load_exhausts(folder: Path) -> Deployment:
    """The restore of the variables finds no memory; the load is given up, and the version ends."""
    model, right = scans(folder / "scans")
    why = f"OOM when allocating tensor with shape[50000,768] and type float {ON_DEVICE}"
    log = ServingLog("scans").starts().loading().load_fails(f"RESOURCE_EXHAUSTED: {why}", retries=3).listening()
    hooks = Hooks(states={1: "END"}, failures={1: ("RESOURCE_EXHAUSTED", why)})
    deployment = replace(deployed(folder, model, right), server_log=log.write(folder / "server.log"))
    return live(deployment, lambda: hooks, name="scans")


def spread_lost(folder: Path) -> Deployment:
    """Late requests are answered, with status 200, by a table of shares that an old model left."""
    model, right = cellar(folder / "cellar")
    shares = [0.3, 0.4, 0.3]

    def instead(answer: Any) -> Tensors:
        return {name: np.broadcast_to(np.float32(shares), x.shape).copy() for name, x in answer().items()}

    return live(deployed(folder, model, right), lambda: Hooks(around=Crowded(2, instead).around))


def too_slow_together(folder: Path) -> Deployment:
    """A share of a CPU: eight calls together take so long that all but the first are past their deadline."""
    model, right = sounds(folder / "sounds")
    cgroup = cgroups.v2(folder / "cgroup", cpu_quota=0.3, periods=40_120, throttled=36_002)
    deployment = replace(deployed(folder, model, right), cgroup=cgroup)
    return live(deployment, lambda: Hooks(around=Quota(0.05, 0.2).around), protocol="grpc")


def connections_spent(folder: Path) -> Deployment:
    """A pool of connections to the features' store: a call that finds none is refused."""
    model, right = pairs(folder / "pairs")
    spent = refuses("connection pool exhausted", 503, "UNAVAILABLE")
    return live(deployed(folder, model, right), lambda: Hooks(around=Crowded(2, spent, 0.08).around))


def rolled(folder: Path) -> Deployment:
    """The batcher's offsets begin at the second caller."""
    model, right = incomes(folder / "incomes")
    before = lambda index, members: index - 1 if index else len(members) - 1  # noqa: E731
    return live(deployed(folder, model, right), lambda: Hooks(after=Batcher(before, 0.03).after))


def last_caller_wins(folder: Path) -> Deployment:
    """The handler keeps a call's inputs in a field of its own, which the next call overwrites."""
    model, right = rhythm(folder / "rhythm", inside=True)
    return live(deployed(folder, model, right), lambda: Hooks(before=SharedInputs(0.02).before))


def by_the_hour(folder: Path) -> Deployment:
    """A cache before the server takes the hour alone for what a ride's fare depends on."""
    model, right = fares(folder / "fares")

    def hour(path: str, body: bytes) -> Any:
        found = re.search(rb'"hour":\s*\[?\s*(\d+)', body)
        return path, found[1] if found else body

    return live(deployed(folder, model, right), lambda: Hooks(proxy=ReplyCache(hour, headers=True).proxy))


def same_first_words(folder: Path) -> Deployment:
    """Inside the server, answers are kept by a list's first word."""
    model, accented = menu(folder / "menu", folded=False)
    first = lambda inputs: inputs["words"].flat[0]  # noqa: E731
    deployment = deployed(folder, model, {"words": accented})
    return live(deployment, lambda: Hooks(after=TensorCache(first).after))


def two_of_five(folder: Path) -> Deployment:
    """A ring of five buffers, of which two are never written."""
    model, right = scans(folder / "scans")
    return live(deployed(folder, model, right), lambda: Hooks(around=Replay(lambda n: n % 5 in (2, 3)).around))


def wants_a_login(folder: Path) -> Deployment:
    """The address is an ingress, which sends everybody to its page for signing in, with status 401."""
    model, right = incomes(folder / "incomes")
    page = "<html><head><title>401 Authorization Required</title></head></html>"
    return replace(deployed(folder, model, right), serve=lambda: says(401, page))


def unloading(folder: Path) -> Deployment:
    """The version was taken out of the configuration; nothing came in its place."""
    model, right = rhythm(folder / "rhythm", inside=False)
    return live(deployed(folder, model, right), lambda: Hooks(states={1: "UNLOADING"}))


TUNED = frozenset({"wants-a-login"})  # wrong when they were blind


def _case(name: str, family: str, cause: str, build: Any, given: Any = SERVED) -> Case:
    return Case(f"fresh-{name}", family, f"resources/{cause}", build, given, held_out=name not in TUNED)


CASES = [
    _case("killed-in-warm-up", "ranking", "memory-limit", killed_in_warm_up, (MODEL_LOG, MODEL_CGROUP, SERVED_LOG)),
    _case("half-the-memory", "tf1", "memory-limit", one_kill_too_many, (MODEL_CGROUP, SERVED_CGROUP)),
    _case("load-exhausts", "convolutional", "memory-limit", load_exhausts, (SERVED_LOG, MODEL_LOG, TARGET)),
    _case("old-shares-when-busy", "tf1", "overload", spread_lost),
    _case("too-slow-together", "module", "overload", too_slow_together, (*SERVED, (*TARGET_MODEL_REQUESTS, "cgroup"))),
    _case("connections-spent", "two-tower", "overload", connections_spent),
    _case("rolled-by-one", "tabular", "crosstalk", rolled),
    _case("last-caller-wins", "module", "crosstalk", last_caller_wins),
    _case("by-the-hour", "regression", "stale-response", by_the_hour),
    _case("same-first-word", "embedding", "stale-response", same_first_words, (TARGET_MODEL_REQUESTS,)),
    _case("two-buffers-of-five", "convolutional", "stale-response", two_of_five),
    _case("wants-a-login", "tabular", "not-serving", wants_a_login, (TARGET, TARGET_MODEL_REQUESTS)),
    _case("unloading", "module", "not-serving", unloading, (TARGET, TARGET_REQUESTS, TARGET_MODEL_REQUESTS)),
]
