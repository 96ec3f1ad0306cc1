"""What a declared pipeline costs beside the same preparation written by hand in the model's graph.

    ./dev bench pipeline [--requests 3000] [--rounds 5]

One network is served twice: taking token ids and numbers, with a pipeline of text, numbers and categories, and with
that preparation in its own export. Compared are CPU times: of a whole request (client and server are one process: what
they cost alike is in it) and of the model's run alone. The answers must agree.
"""

import argparse
import asyncio
import http.client
import json
import resource
import statistics
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import uvloop

from unstuck.config.settings import AUTO_PORT, ModelConfig, ServerConfig
from unstuck.engines.tensorflow import ENGINE
from unstuck.server import Server

LENGTH = 16
WORDS = [f"word{number}" for number in range(2000)]
COLOURS = ["red", "green", "blue"]
MEAN, STD = 3.0, 2.0
TOLERANCE = 1e-5
PIPELINE = {
    "raw": {"text": {"dtype": "string"}, "age": {"dtype": "float"}, "colour": {"dtype": "string"}},
    "inputs": {
        "tokens": {
            "from": "text",
            "steps": [
                "lowercase",
                "split",
                {"vocabulary": {"tokens": WORDS, "unknown": 1, "first_id": 2}},
                {"pad": {"length": LENGTH, "value": 0}},
            ],
        },
        "age": {"from": "age", "steps": [{"z_score": {"mean": MEAN, "std": STD}}]},
        "colour": {
            "from": "colour",
            "steps": [{"vocabulary": {"tokens": COLOURS, "unknown": 3}}, {"one_hot": {"depth": 4}}],
        },
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000, help="requests of one round to each model")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        export(work)
        address = serve(work)
        client = http.client.HTTPConnection("127.0.0.1", address, timeout=30)
        draw = np.random.default_rng(0)
        bodies = [_body(draw) for _ in range(options.requests)]
        for body in bodies[:300]:
            ours, theirs = _ask(client, "pipeline", body), _ask(client, "by_hand", body)
            if not np.allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE):
                raise SystemExit(f"the answers differ: {ours} and {theirs} for {body!r}")
        costs: dict[str, list[float]] = {"pipeline": [], "by_hand": []}
        for _ in range(options.rounds):
            for name, each in costs.items():
                each.append(_cpu_us(client, name, bodies))
        _report("a request", costs)
        _report("a run", _runs(work, bodies, options.rounds))


def _report(what: str, costs: dict[str, list[float]]) -> None:
    for name, each in costs.items():
        print(f"{name:10} {statistics.median(each):7.1f} us CPU {what}, {min(each):.1f} to {max(each):.1f}")
    ratios = [ours / theirs for ours, theirs in zip(costs["pipeline"], costs["by_hand"], strict=True)]
    print(f"{'':10} ratio {statistics.median(ratios):.3f}")


def _runs(work: Path, bodies: list[bytes], rounds: int) -> dict[str, list[float]]:
    """CPU time in us of the engine's run of one row, without HTTP and JSON."""
    engines = {"pipeline": replace(ENGINE, pipeline_file=work / "pipeline.yaml"), "by_hand": ENGINE}
    servables = {name: engine.loader(work / name / "1").load() for name, engine in engines.items()}
    rows = [json.loads(body)["instances"][0] for body in bodies]
    inputs = [
        {
            "text": np.array([row["text"].encode()], object),
            "age": np.array([row["age"]], np.float32),
            "colour": np.array([row["colour"].encode()], object),
        }
        for row in rows
    ]
    costs: dict[str, list[float]] = {name: [] for name in servables}
    for _ in range(rounds):
        for name, servable in servables.items():
            signature = servable.signatures["serving_default"]
            start = time.thread_time()
            for each in inputs:
                servable.run(signature, each)
            costs[name].append((time.thread_time() - start) / len(inputs) * 1e6)
    return costs


def export(work: Path) -> None:
    """Writes the network alone, its pipeline beside it, and the network with the preparation in its export."""
    import tensorflow as tf
    import yaml

    rng = tf.random.Generator.from_seed(1)

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = tf.Variable(rng.normal([len(WORDS) + 2, 8]))
            self.dense = tf.Variable(rng.normal([8 + 1 + 4, 4]))
            self.words = _table(tf, WORDS, first=2, unknown=1)
            self.colours = _table(tf, COLOURS, first=0, unknown=3)

        def score(self, tokens, age, colour):
            text = tf.reduce_mean(tf.gather(self.embedding, tokens), axis=1)
            return {"scores": tf.nn.softmax(tf.concat([text, age[:, None], colour], 1) @ self.dense)}

        @tf.function(input_signature=[
            tf.TensorSpec([None, LENGTH], tf.int64, "tokens"), tf.TensorSpec([None], tf.float32, "age"),
            tf.TensorSpec([None, 4], tf.float32, "colour"),
        ])  # fmt: skip
        def bare(self, tokens, age, colour):
            return self.score(tokens, age, colour)

        @tf.function(input_signature=[
            tf.TensorSpec([None], tf.string, "text"), tf.TensorSpec([None], tf.float32, "age"),
            tf.TensorSpec([None], tf.string, "colour"),
        ])  # fmt: skip
        def prepared(self, text, age, colour):
            words = tf.strings.split(tf.strings.lower(text, encoding="utf-8"))
            tokens = tf.ragged.map_flat_values(self.words.lookup, words).to_tensor(0, shape=[None, LENGTH])
            return self.score(tokens, (age - MEAN) / STD, tf.one_hot(self.colours.lookup(colour), 4))

    network = Network()
    tf.saved_model.save(network, str(work / "pipeline" / "1"), {"serving_default": network.bare})
    tf.saved_model.save(network, str(work / "by_hand" / "1"), {"serving_default": network.prepared})
    (work / "pipeline.yaml").write_text(yaml.safe_dump({"signatures": {"serving_default": PIPELINE}}))


def _table(tf, entries: list[str], *, first: int, unknown: int):
    ids = tf.range(first, first + len(entries), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(entries), ids), unknown)


def serve(work: Path) -> int:
    """Serves both models in a thread of this process; returns the REST port."""
    config = ServerConfig(
        models=tuple(ModelConfig(name, work / name) for name in ("pipeline", "by_hand")),
        pipeline_files={"pipeline": work / "pipeline.yaml"},
        host="127.0.0.1",
        rest_port=AUTO_PORT,
        grpc_port=0,
    )
    ready = threading.Event()
    ports: list[int] = []

    async def run() -> None:
        server = Server(config)
        await server.start()
        await server.load_models(lambda error: print(error, flush=True))
        ports.append(server.rest_port)
        ready.set()
        await asyncio.Event().wait()

    threading.Thread(target=lambda: uvloop.run(run()), daemon=True).start()
    ready.wait()
    return ports[0]


def _body(draw: np.random.Generator) -> bytes:
    words = draw.choice([*WORDS, "Unknown", "WORD7"], size=draw.integers(1, 24))
    row = {
        "text": " ".join(words),
        "age": round(float(draw.normal()), 3),
        "colour": str(draw.choice([*COLOURS, "mauve"])),
    }
    return json.dumps({"instances": [row]}).encode()


def _ask(client: http.client.HTTPConnection, model: str, body: bytes) -> list[list[float]]:
    client.request("POST", f"/v1/models/{model}:predict", body)
    response = client.getresponse()
    text = response.read()
    if response.status != 200:
        raise SystemExit(f"{model} answers {response.status}: {text.decode()}")
    return json.loads(text)["predictions"]


def _cpu_us(client: http.client.HTTPConnection, model: str, bodies: list[bytes]) -> float:
    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    start = used()
    for body in bodies:
        _ask(client, model, body)
    return (used() - start) / len(bodies) * 1e6


if __name__ == "__main__":
    main()
