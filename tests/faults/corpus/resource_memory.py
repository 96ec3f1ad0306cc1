"""Servers whose memory limit is too small: killed, restarted, without the model, or with a stand-in."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus import cgroups, datasets, models
from corpus.case import Case, Deployment
from corpus.cgroups import MIB
from corpus.deploy import deploy
from corpus.evidence import write_requests
from corpus.live import live, nobody
from corpus.mixups import Crowded, always
from corpus.saving import save_module
from corpus.served import Refused, Tensors
from corpus.server import Hooks
from corpus.serving_log import ServingLog

CAUSE = "resources/memory-limit"
ON_DEVICE = "on /job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu"
ITEMS = 400_000  # rows of 32 floats: 49 MiB

MODEL_CGROUP = ("model", "cgroup")
MODEL_LOG = ("model", "server_log")
SERVED_CGROUP = ("target", "model", "requests", "cgroup")
SERVED_LOG = ("target", "model", "requests", "server_log")


def killed_again_and_again(folder: Path) -> Deployment:
    """Under version 2 of cgroups; between two kills it answers, and right."""
    series, _ = datasets.sensors(240, seed=1)
    model = models.attention(folder / "forecast")
    cgroup = cgroups.v2(
        folder / "cgroup", limit=128 * MIB, peak=128 * MIB, events={"max": 6123, "oom": 9, "oom_kill": 9}
    )
    return replace(deploy(folder, model, {"series": series[:36]}, training={"series": series}), cgroup=cgroup)


def killed_under_version_1(folder: Path) -> Deployment:
    """As a container sees /sys/fs/cgroup of version 1, a folder for each controller."""
    sent = models.standardized_credit(48, seed=2)
    model = models.dense_tabular(folder / "risk")
    cgroup = cgroups.v1(folder / "cgroup", limit=96 * MIB, peak=96 * MIB, failures=41_872, kills=3, by_controller=True)
    return replace(deploy(folder, model, {"features": sent}), cgroup=cgroup)


def smaller_than_the_weights(folder: Path) -> Deployment:
    """Nothing was killed yet: the limit is for a container that is still to start."""
    import tensorflow as tf

    random = np.random.default_rng(3)
    module = tf.Module()
    module.items = tf.Variable(random.normal(0, 1, (ITEMS, 32)).astype(np.float32), name="items")
    module.head = tf.Variable(random.normal(0, 0.3, (32, 1)).astype(np.float32), name="head")

    def call(item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"score": tf.sigmoid(tf.gather(module.items, item_id) @ module.head)}

    spec = tf.TensorSpec([None], tf.int64, "item_id")
    model = save_module(module, folder / "items", {"serving_default": (call, [spec])})
    ids = random.integers(0, ITEMS, 40)
    return Deployment(
        model=model,
        requests=write_requests(folder / "requests.jsonl", {"item_id": ids}),
        cgroup=cgroups.v2(folder / "cgroup", limit=40 * MIB, peak=2 * MIB),
    )


def fallback_answer(folder: Path) -> Deployment:
    """The load ran out of memory; what stands before the server answers the base rate instead."""
    columns, _ = datasets.credit(240, seed=1)
    model = models.tabular_named(folder / "risk")
    oom = f"RESOURCE_EXHAUSTED: OOM when allocating tensor with shape[8192,4096] and type float {ON_DEVICE}"
    log = ServingLog("risk").starts().loading().large_allocation(134_217_728, 0.3).load_fails(oom, retries=5)
    sent = {name: values[:40] for name, values in columns.items()}
    deployment = replace(
        deploy(folder, model, sent, training=columns, training_as=".csv", right=sent),
        server_log=log.write(folder / "server.log"),
        cgroup=cgroups.v2(
            folder / "cgroup", limit=160 * MIB, peak=160 * MIB, events={"max": 912, "oom": 6, "oom_kill": 1}
        ),
    )
    base_rate = always(probability=0.34)
    return live(deployment, lambda: Hooks(around=Crowded(0, base_rate, work_s=0).around))


def bad_alloc_at_start(folder: Path) -> Deployment:
    """It crashes in each load and is started anew; when it is asked, it is down."""
    sent = models.standardized_credit(40, seed=2)
    model = models.tf1_graph(folder / "credit")
    log = ServingLog("credit")
    for start in range(4):
        log.starts() if not start else log.restarts(20.0 * 2**start)
        log.loading().large_allocation(1_073_741_824, 0.5)
        log.raw("terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc")
        log.killed("Aborted                 (core dumped)")
    deployment = deploy(folder, model, {"x": sent})
    return replace(deployment, server_log=log.write(folder / "server.log"), serve=nobody)


def no_room_for_the_new_version(folder: Path) -> Deployment:
    """Version 2 does not fit beside version 1, which goes on answering."""
    models.module_signatures(folder / "credit", seed=0, version=1)
    models.module_signatures(folder / "credit", seed=5, version=2)
    why = f"OOM when allocating tensor with shape[65536,1024] and type float {ON_DEVICE}"
    log = ServingLog("credit", 1).starts().loading().loaded().listening()
    new = ServingLog("credit", 2).loading(3600).load_fails(f"RESOURCE_EXHAUSTED: {why}", retries=5)
    log.raw(new.text().rstrip("\n"))
    sent = models.standardized_credit(45, seed=2)
    deployment = replace(
        deploy(folder, folder / "credit", {"features": sent}, form="column", rows=3),
        server_log=log.write(folder / "server.log"),
        cgroup=cgroups.v2(folder / "cgroup", limit=512 * MIB, peak=512 * MIB, events={"max": 5120, "oom": 6}),
    )
    hooks = Hooks(
        route=lambda asked, signature: (asked or 1, signature),
        states={2: "END"},
        failures={2: ("RESOURCE_EXHAUSTED", why)},
    )
    return live(deployment, lambda: hooks)


def only_small_batches(folder: Path) -> Deployment:
    """One sentence is answered; for a batch of 24 there is no memory."""
    texts, _ = datasets.sentences(200, seed=2)
    ids = datasets.token_ids(texts)
    model = models.recurrent(folder / "topics", length=12)
    oom = f"OOM when allocating tensor with shape[24,12,4096] and type float {ON_DEVICE}"
    log = ServingLog("topics").starts().loading().loaded().listening()
    for _ in range(7):
        log.large_allocation(4_718_592)
        log.line("W", "external/org_tensorflow/tensorflow/core/framework/op_kernel.cc:1839", _op_failed(oom))

    def before(inputs: Tensors) -> Tensors:
        if len(inputs["token_ids"]) > 8:
            raise Refused(oom, 429, "RESOURCE_EXHAUSTED")
        return inputs

    deployment = deploy(folder, model, {"token_ids": ids[:32]})
    large = write_requests(folder / "large.jsonl", {"token_ids": ids[32:]}, rows=24)
    assert deployment.requests is not None
    deployment.requests.write_text(deployment.requests.read_text() + large.read_text())
    deployment = replace(deployment, server_log=log.write(folder / "server.log"))
    return live(deployment, lambda: Hooks(before=before))


def killed_by_the_kernel(folder: Path) -> Deployment:
    """Another server's log: ours, started by a script, and version 1's files in one folder."""
    texts, _ = datasets.sentences(60, seed=2)
    model = models.string_text(folder / "topics")
    lines: list[str] = []
    for start in range(5):
        lines += [
            f"Unstuck 0.1.0, pid {31 + 12 * start}: loading topics …",
            "",
            "  REST    http://localhost:8501   (bound to 0.0.0.0; ready: /readyz, live: /healthz)",
            "",
            "  topics, version 1",
            "    serving_default: text: string [-1] -> probabilities: float [-1,4]",
            "",
            "Ready. Ctrl-C stops it.",
            f"/srv/start.sh: line 9: {31 + 12 * start} Killed                  unstuck serve topics=/models/topics",
        ]
    log = folder / "server.log"
    log.write_text("\n".join([*lines, ""]))
    cgroup = cgroups.v1(folder / "cgroup", limit=256 * MIB, peak=256 * MIB, failures=90_211, kills=5)
    return replace(deploy(folder, model, {"text": np.array(texts)}), server_log=log, cgroup=cgroup)


def _op_failed(why: str) -> str:
    return f"OP_REQUIRES failed at matmul_op_impl.h:863 : RESOURCE_EXHAUSTED: {why}"


CASES = [
    Case(
        "killed-again-and-again",
        "attention",
        CAUSE,
        killed_again_and_again,
        (MODEL_CGROUP, SERVED_CGROUP, ("target", "cgroup")),
        quick=True,
    ),
    Case("killed-under-cgroup-v1", "dense", CAUSE, killed_under_version_1, (MODEL_CGROUP, SERVED_CGROUP)),
    Case("limit-below-the-weights", "embedding", CAUSE, smaller_than_the_weights, (MODEL_CGROUP,), held_out=True),
    Case(
        "fallback-answer-after-oom",
        "tabular",
        CAUSE,
        fallback_answer,
        (SERVED_LOG, SERVED_CGROUP, MODEL_LOG, ("target", "requests", "server_log")),
    ),
    Case(
        "bad-alloc-at-each-start",
        "tf1",
        CAUSE,
        bad_alloc_at_start,
        (MODEL_LOG, SERVED_LOG, ("target", "server_log")),
        held_out=True,
    ),
    Case(
        "no-room-for-the-new-version",
        "module",
        CAUSE,
        no_room_for_the_new_version,
        (MODEL_LOG, SERVED_LOG, (*SERVED_LOG, "cgroup")),
        held_out=True,
    ),
    Case(
        "only-small-batches-fit",
        "recurrent",
        CAUSE,
        only_small_batches,
        (SERVED_LOG, MODEL_LOG, ("target", "model", "requests"), ("target", "requests")),
    ),
    Case(
        "killed-by-the-kernel",
        "embedding",
        CAUSE,
        killed_by_the_kernel,
        (SERVED_CGROUP, (*MODEL_LOG, "cgroup"), ("model", "requests", "server_log", "cgroup")),
        held_out=True,
    ),
]
