"""BentoML: ``bentoml serve bentoml_service:Predictor``. Takes ``{"x": [row]}``, answers ``[row]``."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType
from saved_model import BATCHING, IS_TEXT, MAX_BATCH, SavedModel, as_array

Floats = Annotated[np.ndarray, DType("float32")]
Rows = list[str] if IS_TEXT else Floats
# Beyond max_latency_ms it gives up with 503; how long it waits for a batch is up to BentoML.
API = {"batchable": True, "batch_dim": 0, "max_batch_size": MAX_BATCH, "max_latency_ms": 10_000} if BATCHING else {}


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Predictor:
    def __init__(self) -> None:
        self.model = SavedModel()

    @bentoml.api(**API)
    def predict(self, x: Rows) -> Floats:
        return self.model(as_array(x))
