"""Wraps signatures of a loaded graph in the ops of a pipeline, as one graph.

The part of the graph between a signature's inputs and outputs is imported once more, its inputs replaced by what the
pipeline makes of the raw ones. State (variables, tables) is not copied: the second part reads the tensors of the first.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unstuck.core.dtypes import from_number
from unstuck.core.signatures import METHOD_NAMES, Signature, TensorSpec
from unstuck.engines.tensorflow.files import Files
from unstuck.engines.tensorflow.runtime import tf
from unstuck.engines.tensorflow.steps import apply
from unstuck.engines.tensorflow.values import row_shape
from unstuck.pipeline.checks import UNPREPARED, check, fits, place
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.schema import Expression, Pipeline, SignaturePipeline, names_in
from unstuck.pipeline.steps import STEPS

SCOPE = "unstuck_pipeline"
_STEP_NAMES = {kind: name for name, kind in STEPS.items()}
STATE = frozenset({
    "VarHandleOp", "Variable", "VariableV2", "HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2",
    "MutableDenseHashTableV2", "MutableHashTableOfTensorsV2",
})  # fmt: skip


def wrap(
    session: Any, signatures: Mapping[str, Signature], pipeline: Pipeline, files: Files
) -> tuple[dict[str, Signature], list[Any]]:
    """The signatures with those that the pipeline names taking raw inputs, and the ops that fill its tables.

    A wrapped signature keeps its name; the model's own is beside it, its name followed by ``_unprepared``.

    Args:
        session: holds the loaded graph, which gets the pipeline's ops.
        signatures: the model's.
        pipeline: by signature.
        files: those that steps name.

    Raises:
        PipelineError: it does not fit the model; the message says where.
    """
    check(pipeline, signatures)
    wrapped = dict(signatures)
    collection = tf.compat.v1.GraphKeys.TABLE_INITIALIZERS
    with session.graph.as_default():
        before = len(tf.compat.v1.get_collection(collection))
        for name, declared in pipeline.signatures.items():
            signature = signatures[name]
            wrapped[name + UNPREPARED] = replace(signature, name=name + UNPREPARED)
            wrapped[name] = _wrapped(session.graph, signature, declared, files)
        initializers = tf.compat.v1.get_collection(collection)[before:]
    return dict(sorted(wrapped.items())), initializers


def _wrapped(graph: Any, signature: Signature, declared: SignaturePipeline, files: Files) -> Signature:
    where = place(signature.name)
    with tf.name_scope(SCOPE):
        used = names_in(declared.inputs)
        known = {name: placeholder(each.spec(name)) for name, each in declared.sources().items() if name in used}
        prepared = values(f"{where} inputs", declared.inputs, known, files, signature.inputs)
        outputs = _imported(graph, signature, prepared)
        if declared.outputs is not None:
            made = values(f"{where} outputs", declared.outputs, outputs, files)
            outputs = {alias: tf.identity(tensor) for alias, tensor in made.items()}
    return replace(
        signature,
        inputs=specs(known),
        outputs=specs(outputs),
        method_name=METHOD_NAMES["predict"],  # what it took for classify or regress, tf.Examples, it takes no longer
        takes_examples=False,
        defaults={},
    )


def _imported(graph: Any, signature: Signature, prepared: Mapping[str, Any]) -> dict[str, Any]:
    """The signature's outputs computed from ``prepared``."""
    names = {alias: spec.name for alias, spec in signature.outputs.items()}
    ops = sorted({name.split(":")[0] for name in names.values()})
    part = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), ops)
    replaced = {
        tensor.name: tensor
        for node in part.node
        if node.op in STATE
        for tensor in graph.get_operation_by_name(node.name).outputs
    }
    replaced.update({spec.name: prepared[alias] for alias, spec in signature.inputs.items()})
    read = {tensor if ":" in tensor else f"{tensor}:0" for node in part.node for tensor in node.input}
    read.update(names.values())
    replaced = {name: tensor for name, tensor in replaced.items() if name in read}  # an input may have no effect
    found = tf.graph_util.import_graph_def(part, input_map=replaced, return_elements=list(names.values()), name="model")
    return dict(zip(names, found, strict=True))


def placeholder(spec: TensorSpec) -> Any:
    """A tensor to feed."""
    return tf.compat.v1.placeholder(tf.as_dtype(spec.dtype.number), spec.shape, name=_op_name(spec.alias))


def values(
    where: str,
    expressions: Mapping[str, Expression],
    known: Mapping[str, Any],
    files: Files,
    wanted: Mapping[str, TensorSpec] | None = None,
) -> dict[str, Any]:
    """The tensors of ``expressions``, made of those ``known`` by name; as the specs ``wanted`` of them, if any.

    Raises:
        PipelineError: a step does not take what it is given, or what comes out is not what is wanted.
    """
    made = {
        alias: _dense(f"{where}.{alias}", _value(f"{where}.{alias}", each, known, files))
        for alias, each in expressions.items()
    }
    return {alias: _fitting(f"{where}.{alias}", made[alias], spec) for alias, spec in (wanted or {}).items()} or made


def specs(tensors: Mapping[str, Any]) -> dict[str, TensorSpec]:
    """What ``tensors`` are, as a signature holds it."""
    return {alias: _spec(alias, tensor) for alias, tensor in sorted(tensors.items())}


def _value(where: str, expression: Expression, known: Mapping[str, Any], files: Files) -> Any:
    parts = expression.concat or expression.stack
    if expression.from_ is not None:
        value = known[expression.from_]
    elif parts is not None:
        kind = "concat" if expression.concat else "stack"
        values = [
            _dense(f"{where}.{kind}.{at}", _value(f"{where}.{kind}.{at}", each, known, files))
            for at, each in enumerate(parts)
        ]
        value = _joined(f"{where}.{kind}", values, as_new=expression.stack is not None)
    else:
        rows = tf.shape(next(iter(known.values())))[:1]
        one = tf.constant(expression.constant)
        value = tf.broadcast_to(one, tf.concat([rows, tf.shape(one)], 0))
        value.set_shape([None, *one.shape])
    for at, step in enumerate(expression.steps):
        try:
            value = apply(step, value, files)
        except PipelineError as error:
            raise PipelineError(
                f"{where}: step {at} ({_STEP_NAMES[type(step)]}): {error.message}.", hint=error.hint
            ) from None
        except (TypeError, ValueError, OverflowError) as error:
            reason = str(error).split("\n")[0]
            raise PipelineError(f"{where}: step {at} ({_STEP_NAMES[type(step)]}): {reason}.") from None
    return value


def _joined(where: str, values: list[Any], *, as_new: bool) -> Any:
    dtypes = sorted({value.dtype.name for value in values})
    if len(dtypes) > 1:
        raise PipelineError(f"{where}: its parts are {' and '.join(dtypes)}.", hint="Make them one dtype with cast.")
    if as_new:
        join, parts = tf.stack, values
    else:
        join, parts = tf.concat, [value[:, None] if value.shape.rank == 1 else value for value in values]
    try:
        return join(parts, axis=-1)
    except ValueError:
        shapes = " and ".join(dict.fromkeys(row_shape(value) for value in values))
        raise PipelineError(
            f"{where}: its parts' rows have the shapes {shapes}.", hint="Make them fit with reshape."
        ) from None


def _dense(where: str, value: Any) -> Any:
    if isinstance(value, tf.RaggedTensor):
        raise PipelineError(f"{where}: its rows have different lengths.", hint="End its steps with pad.")
    return value


def _fitting(where: str, value: Any, spec: TensorSpec) -> Any:
    """``value``, once it is what the model's input takes."""
    given = _spec(spec.alias, value)
    return value if fits(where, given.dtype, given.shape, spec) else value[..., None]


def _spec(alias: str, tensor: Any) -> TensorSpec:
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    return TensorSpec(alias, tensor.name, from_number(tensor.dtype.as_datatype_enum), shape)


def _op_name(alias: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "_" for character in alias) or "raw"
