"""Sessions as the user wants them: threads, memory, and a ConfigProto of the user's."""

import logging
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from unstuck.engines.tensorflow.runtime import config_pb2, tf
from unstuck.errors import LoadFailed

if TYPE_CHECKING:
    from unstuck.engines.tensorflow import SessionOptions

INLINE_POOL = -1  # run the ops in the thread that calls: no hand-over between threads
OWN_POOL = 0
_POOL_NAME = "unstuck"
_THREADS = ("intra_op_parallelism_threads", "inter_op_parallelism_threads")

log = logging.getLogger(__name__)


def new_session(options: "SessionOptions") -> tuple[Any, int]:
    """A session with a graph of its own, and in which of its thread pools the ops of a call run.

    Raises:
        LoadFailed: the user's ConfigProto cannot be read, or TensorFlow refuses it.
    """
    config = config_of(options)
    try:
        session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    except tf.errors.OpError as error:
        raise LoadFailed(f"TensorFlow makes no session as it is asked for: {error.message}") from error
    return session, OWN_POOL if config.session_inter_op_thread_pool else INLINE_POOL


def config_of(options: "SessionOptions") -> Any:
    """The ConfigProto that ``options`` ask for; the user's own, changed where they say more.

    Raises:
        LoadFailed: the user's file cannot be read.
    """
    config = _read(options)
    for name in _THREADS:
        if getattr(config, name):
            log.warning("%s: %s has no effect, as in TensorFlow Serving; its flags do.", options.config_file, name)
    config.intra_op_parallelism_threads = options.intra_op_threads
    config.inter_op_parallelism_threads = options.inter_op_threads
    if options.inter_op_threads > 1 and not config.session_inter_op_thread_pool:
        config.session_inter_op_thread_pool.add(num_threads=options.inter_op_threads, global_name=_POOL_NAME)
    if options.gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = options.gpu_memory_fraction
    if options.bfloat16:
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewrites.ON
    return config


def _read(options: "SessionOptions") -> Any:
    config = config_pb2.ConfigProto()
    if options.config_file is None:
        return config
    try:
        return text_format.Parse(options.config_file.read_text(), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise LoadFailed(
            f"--tensorflow_session_config_file={options.config_file} is not a text proto of ConfigProto: {error}."
        ) from None
