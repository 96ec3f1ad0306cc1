"""Healthy servers whose own metrics tell of trouble that was, or that is none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from corpus import models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import TARGET_MODEL_REQUESTS, TARGET_REQUESTS
from corpus.server import Hooks

PAGE = "/monitoring/prometheus/metrics"
GIVEN = (TARGET_REQUESTS, TARGET_MODEL_REQUESTS)
COUNT = ":tensorflow:serving:request_count"


def _metrics(**requests: int) -> str:
    lines = [f"# TYPE {COUNT} counter"]
    lines += [f'{COUNT}{{model_name="model",status="{status}"}} {count}' for status, count in requests.items()]
    memory = "process_resident_memory_bytes"
    return "\n".join([*lines, f"# TYPE {memory} gauge", f"{memory} 6.1e+08", ""])


def _credit(page: str, path: str = PAGE) -> Callable[[Path], Deployment]:
    def build(folder: Path) -> Deployment:
        rows = models.standardized_credit(240, seed=1)
        model = models.dense_tabular(folder / "credit")
        return deploy(
            folder,
            model,
            {"features": rows[:40]},
            training={"features": rows},
            right={"features": np.asarray(rows[40:64])},
            hooks=Hooks(pages={path: page}),
        )

    return build


HEALTHY = [
    Case("metrics-of-a-busy-day", "dense", None, _credit(_metrics(OK=40_000, UNAVAILABLE=6_000)), GIVEN),
    Case("metrics-of-bad-requests", "dense", None, _credit(_metrics(OK=900, INVALID_ARGUMENT=700)), GIVEN),
    Case("metrics-of-a-sidecar", "dense", None, _credit("<html>dashboard</html>", "/metrics"), (TARGET_REQUESTS,)),
]
CASES = HEALTHY
