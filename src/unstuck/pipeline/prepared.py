"""A servable whose signatures take raw inputs: prepared before it runs, outputs mapped after, both outside of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec, narrowed
from unstuck.pipeline.python_steps import PythonSteps
from unstuck.pipeline.schema import Pipeline, SignaturePipeline


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """How one signature is called.

    Attributes:
        signature: as clients see it.
        inner: the signature that runs, of the servable inside.
        prepare: makes the inner signature's inputs of the raw ones.
        finish: makes the outputs of the inner signature's; None where they are its own.
        stateless: whether ``prepare`` gives for a row what depends on that row alone.
    """

    signature: Signature
    inner: Signature
    prepare: Callable[[Tensors], Tensors]
    finish: Callable[[Tensors], Tensors] | None = None
    stateless: bool = True


class PreparedServable(Servable):
    """``inner`` with ``calls`` in place of its signatures of their names, or beside them.

    As thread-safe as its parts.
    """

    def __init__(self, inner: Servable, calls: Mapping[str, PreparedCall]) -> None:
        self._inner = inner
        self._calls = calls
        signatures = {**inner.signatures, **{name: call.signature for name, call in calls.items()}}
        self._signatures = dict(sorted(signatures.items()))
        self._stateless = (inner.stateless - calls.keys()) | {
            name for name, call in calls.items() if call.stateless and call.inner.name in inner.stateless
        }

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    @property
    def stateless(self) -> frozenset[str]:
        return self._stateless

    def run(self, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
        call = self._calls.get(signature.name)
        if call is None:
            return self._inner.run(signature, inputs)
        prepared = call.prepare(inputs)
        if call.finish is not None:
            outputs = call.finish(self._inner.run(call.inner, prepared))
            return {alias: outputs[alias] for alias in signature.outputs}
        whole = signature is call.signature
        return self._inner.run(call.inner if whole else narrowed(call.inner, [*signature.outputs]), prepared)

    def run_all(self, signatures: Sequence[Signature], tensor: Tensor) -> list[dict[str, Tensor]]:
        if any(each.name in self._calls for each in signatures):
            return super().run_all(signatures, tensor)
        return self._inner.run_all(signatures, tensor)


def with_python(servable: Servable, pipeline: Pipeline, folder: Path) -> Servable:
    """``servable``, whose signatures take what Python's steps give, once these run before it.

    Raises:
        PipelineError: a file that cannot be loaded, or a library that is not installed.
    """
    calls = dict[str, PreparedCall]()
    for name, declared in pipeline.signatures.items():
        if declared.python:
            inner = servable.signatures[name]
            steps = PythonSteps(name, declared, folder)
            signature = replace(inner, inputs=raw_specs(declared))
            calls[name] = PreparedCall(signature, inner, steps.run, stateless=steps.stateless)
    return PreparedServable(servable, calls) if calls else servable


def raw_specs(declared: SignaturePipeline) -> dict[str, TensorSpec]:
    """The inputs that clients send."""
    return {alias: value.spec(alias) for alias, value in sorted(declared.raw.items())}
