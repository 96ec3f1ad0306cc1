"""Text protos of tensorflow.serving.BatchingParameters: ``--batching_parameters_file``, and a version's own.

What is refused is what TensorFlow Serving refuses when it loads a model: WrapSessionForBatching in
bundle_factory_util.cc, and AddQueue in TensorFlow's shared_batch_scheduler.h.
"""

from collections.abc import Iterator
from pathlib import Path

from unstuck.config.text_proto import Mistake, TextProto, parsed
from unstuck.core.batching import BatchingParameters
from unstuck.errors import SetupError
from unstuck.proto.wire.batching_pb2 import BatchingParameters as Message

IN_VERSION = "batching_params.pbtxt"  # in a version's folder, beside saved_model.pb

_DEFAULTS = BatchingParameters()
_LEAST = {
    "max_batch_size": 1,
    "batch_timeout_micros": 0,
    "max_enqueued_batches": 0,
    "num_batch_threads": 1,
    "max_execution_batch_size": 1,
}


def read_batching_parameters(path: Path, said: str = "") -> BatchingParameters:
    """What the file ``path`` asks for; errors call it ``said``, by default its path.

    Raises:
        SetupError: no such file, not a BatchingParameters, or values that contradict each other.
    """
    said = said or str(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{said} cannot be read: {error}.") from None
    message = Message()
    located, mistakes = parsed(text, message)
    mistakes = mistakes or list(_problems(message, located))
    if mistakes:
        first = min(mistakes, key=lambda each: each.line)
        bare = first.message.endswith('Expected "{".')
        raise SetupError(
            f"{said}, line {first.line}: {first.message}", hint="Write it as NAME { value: 8 }." if bare else ""
        )
    return _parameters(message)


def _parameters(message: Message) -> BatchingParameters:
    def value(name: str) -> int:
        return getattr(message, name).value if message.HasField(name) else getattr(_DEFAULTS, name)

    splits = message.enable_large_batch_splitting.value
    return BatchingParameters(
        max_batch_size=value("max_batch_size"),
        batch_timeout_micros=value("batch_timeout_micros"),
        max_enqueued_batches=max(value("max_enqueued_batches"), 1),  # as TensorFlow reads 0
        num_batch_threads=value("num_batch_threads"),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        enable_large_batch_splitting=splits,
        max_execution_batch_size=value("max_execution_batch_size"),
    )


def _problems(message: Message, located: TextProto) -> Iterator[Mistake]:
    for name, least in _LEAST.items():
        if message.HasField(name) and (value := getattr(message, name).value) < least:
            yield Mistake(located.line((name, "value")), f"{name}: expected {least} or more, got {value}.")
    parameters = _parameters(message)
    yield from _problems_of_sizes(parameters, located)
    if not parameters.enable_large_batch_splitting:
        return
    if message.HasField("max_enqueued_batches") and message.max_enqueued_batches.value == 0:
        line = located.line(("max_enqueued_batches", "value"))
        yield Mistake(line, "max_enqueued_batches: expected 1 or more with enable_large_batch_splitting, got 0.")
    if parameters.max_execution_batch_size > parameters.max_batch_size:
        yield Mistake(
            located.line(("max_execution_batch_size", "value")),
            f"max_execution_batch_size: expected at most max_batch_size, {parameters.max_batch_size}, "
            f"got {parameters.max_execution_batch_size}.",
        )


def _problems_of_sizes(parameters: BatchingParameters, located: TextProto) -> Iterator[Mistake]:
    sizes = parameters.allowed_batch_sizes
    for index, size in enumerate(sizes):
        line = located.line(("allowed_batch_sizes", index))
        if size < 1:
            yield Mistake(line, f"allowed_batch_sizes: expected 1 or more, got {size}.")
        elif index and size <= sizes[index - 1]:
            yield Mistake(line, f"allowed_batch_sizes: expected ascending sizes, got {size} after {sizes[index - 1]}.")
    if sizes and sizes[-1] != parameters.max_batch_size:
        yield Mistake(
            located.line(("allowed_batch_sizes", len(sizes) - 1)),
            f"allowed_batch_sizes: the last must be max_batch_size, {parameters.max_batch_size}; got {sizes[-1]}.",
        )
