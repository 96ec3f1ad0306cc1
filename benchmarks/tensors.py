"""What tensors cost on gRPC: a PredictRequest's bytes to an array, an array to a PredictResponse's bytes, in µs.

    python -m benchmarks.tensors

One float32 tensor in both encodings, beside TensorFlow's own functions: the best of 5 batches, protobuf included.
Large answers may show a millisecond that is glibc's: it hands freed memory back to the system at once and faults it in
again. MALLOC_TRIM_THRESHOLD_=134217728 MALLOC_MMAP_THRESHOLD_=33554432 in the environment take that away.
"""

import timeit
from collections.abc import Callable

import numpy as np

SIZES = (64, 1024, 150528)
BATCH_S = 0.05


def main() -> None:
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest as OfficialRequest
    from tensorflow_serving.apis.predict_pb2 import PredictResponse as OfficialResponse

    from unstuck.proto import tensors
    from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse

    def encode(array: np.ndarray, as_content: bool) -> bytes:
        response = PredictResponse()
        tensors.fill(response.outputs["y"], array, as_content=as_content)
        return response.SerializeToString()

    def tensorflow_encode(array: np.ndarray, as_content: bool) -> bytes:
        response = OfficialResponse()
        if as_content:
            response.outputs["y"].CopyFrom(tf.make_tensor_proto(array))
        else:
            response.outputs["y"].float_val.extend(array.tolist())  # make_tensor_proto has no typed form of arrays
        return response.SerializeToString()

    print(f"{'µs':<22}" + "".join(f"{name:>12}" for name in ("floats", "unstuck", "tensorflow")))
    for as_content in (True, False):
        encoding = "tensor_content" if as_content else "float_val"
        for size in SIZES:
            array = np.random.default_rng(0).random(size, np.float32)
            request = PredictRequest()
            tensors.fill(request.inputs["x"], array, as_content=as_content)
            body = request.SerializeToString()
            _report(
                f"decode {encoding}",
                size,
                lambda body=body: tensors.to_array(PredictRequest.FromString(body).inputs["x"]),
                lambda body=body: tf.make_ndarray(OfficialRequest.FromString(body).inputs["x"]),
            )
            _report(
                f"encode {encoding}",
                size,
                lambda array=array, as_content=as_content: encode(array, as_content),
                lambda array=array, as_content=as_content: tensorflow_encode(array, as_content),
            )


def _report(what: str, size: int, *calls: Callable[[], object]) -> None:
    print(f"{what:<22}{size:>12}" + "".join(f"{_best_us(call):>12.1f}" for call in calls), flush=True)


def _best_us(call: Callable[[], object]) -> float:
    timer = timeit.Timer(call)
    number = max(1, int(BATCH_S / timer.timeit(1)))
    return min(timer.repeat(5, number)) / number * 1e6


if __name__ == "__main__":
    main()
