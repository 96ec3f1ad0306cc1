"""PyTriton, behind Triton's own front end. Takes and answers JSON of the Open Inference Protocol, version 2."""

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from saved_model import BATCHING, IS_TEXT, MAX_BATCH, MAX_WAIT_S, PORT, SECOND_PORT, SavedModel, as_array

model = SavedModel()
input_shape = model.input_shape or [1]  # of a row; Triton knows no row without a dimension


@batch
def infer(**inputs):
    rows = inputs[model.input_name]
    return {model.output_name: model(as_array(rows[:, 0]) if IS_TEXT else rows)}


if BATCHING:
    delay = DynamicBatcher(max_queue_delay_microseconds=round(MAX_WAIT_S * 1e6))
    config, rows = ModelConfig(max_batch_size=MAX_BATCH, batcher=delay), []
else:
    config, rows = ModelConfig(batching=False), [-1]

front = TritonConfig(http_address="127.0.0.1", http_port=PORT, grpc_port=SECOND_PORT, allow_metrics=False)
with Triton(config=front) as triton:
    triton.bind(
        model_name="model",
        infer_func=infer,
        inputs=[Tensor(name=model.input_name, dtype=bytes if IS_TEXT else np.float32, shape=(*rows, *input_shape))],
        outputs=[Tensor(name=model.output_name, dtype=np.float32, shape=(*rows, *model.output_shape))],
        config=config,
    )
    triton.serve()
