"""The one place that imports TensorFlow: without its banners, and with its untyped API behind names of ours."""

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from unstuck.engines.stderr import without
from unstuck.engines.tensorflow import first_session

_BANNERS = ("I0000 ", "WARNING: All log messages before absl", "To enable the following instructions: ")
_ABOUT_GPUS = ("failed call to cuInit", "Unable to register cu", "computation placer already registered")


@contextmanager
def _without_banners() -> Generator[None]:
    """Holds back standard error and passes on what is not a banner.

    TensorFlow 2.21 writes to file descriptor 2 whatever TF_CPP_MIN_LOG_LEVEL says; a user who sets that gets it all.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # releases before 2.21 heed it, and read it once
    try:
        with without(_is_banner):
            yield
    finally:
        del os.environ["TF_CPP_MIN_LOG_LEVEL"]  # for a child of ours it would be the user's wish


def _is_banner(line: str) -> bool:
    return line.startswith(_BANNERS) or any(each in line for each in _ABOUT_GPUS)


# Its oneDNN build keeps every large tensor's memory in an arena of its own and never gives any back, not even that of
# an unloaded model's variables. It reads this once.
os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")

with _without_banners(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as _tensorflow
    from tensorflow.core.protobuf import config_pb2 as _config
    from tensorflow.core.protobuf import meta_graph_pb2 as _meta_graph
    from tensorflow.core.protobuf import trackable_object_graph_pb2 as _trackable_object_graph
    from tensorflow.python.framework import op_def_registry as _ops
    from tensorflow.python.framework import ops as _graphs
    from tensorflow.python.grappler import tf_optimizer as _optimizer
    from tensorflow.python.saved_model import loader_impl as _loader

    tf: Any = _tensorflow
    tf.get_logger().setLevel("ERROR")  # its deprecation notes are about our code, not the user's
    first_config: Any = _config.ConfigProto(
        intra_op_parallelism_threads=first_session.intra_op_threads,
        inter_op_parallelism_threads=first_session.inter_op_threads,
    )
    first_config.gpu_options.per_process_gpu_memory_fraction = first_session.gpu_memory_fraction
    with tf.Graph().as_default(), tf.compat.v1.Session(config=first_config) as _session:
        _session.run(tf.constant(0))  # the first run looks for GPUs, and says so

config_pb2: Any = _config
op_def_registry: Any = _ops
loader_impl: Any = _loader
meta_graph_pb2: Any = _meta_graph
tf_optimizer: Any = _optimizer
trackable_object_graph_pb2: Any = _trackable_object_graph


def first_lines(error: BaseException) -> str:
    """TensorFlow's message without its stack of Python frames and graph nodes."""
    text = str(getattr(error, "message", "") or error)
    return text.split("\n\n", maxsplit=1)[0].strip()[:1000]


def close(session: Any) -> None:
    """Closes it, and takes its graph apart: its cycles would keep the constants until the collector looks."""
    graphs: Any = _graphs
    session.close()
    for name in session.graph.get_all_collection_keys():
        session.graph.clear_collection(name)
    graphs.dismantle_graph(session.graph)
