"""Ray Serve. Takes ``{"instances": [row]}``, answers ``{"predictions": [row]}``."""

import logging
import signal
import tempfile

import numpy as np
import ray
from ray import serve
from saved_model import BATCHING, MAX_BATCH, MAX_WAIT_S, PORT, SavedModel, as_array
from starlette.requests import Request

QUIET = {"enable_access_log": False, "log_level": "WARNING"}
# With the default of 5 ongoing requests no batch could fill.
OPTIONS = {"num_replicas": 1, "max_ongoing_requests": 256, "ray_actor_options": {"num_cpus": 1}}


@serve.deployment(**OPTIONS, logging_config=QUIET)
class Batched:
    def __init__(self):
        self.model = SavedModel()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT_S)
    async def predict(self, requests):
        scores = self.model(np.concatenate(requests))
        return np.split(scores, np.cumsum([len(rows) for rows in requests])[:-1])

    async def __call__(self, request: Request):
        rows = as_array((await request.json())["instances"])
        return {"predictions": (await self.predict(rows)).tolist()}


@serve.deployment(**OPTIONS, logging_config=QUIET)
class Single:
    def __init__(self):
        self.model = SavedModel()

    async def __call__(self, request: Request):
        rows = as_array((await request.json())["instances"])
        return {"predictions": self.model(rows).tolist()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # its sockets' paths must be short
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=200 * 2**20,
            log_to_driver=False,
            logging_level=logging.WARNING,
            _temp_dir=folder,
        )
        serve.start(http_options={"host": "127.0.0.1", "port": PORT}, logging_config=QUIET)
        serve.run((Batched if BATCHING else Single).bind(), route_prefix="/")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        serve.shutdown()
        ray.shutdown()
