"""Puts a pipeline around a model whose engine knows none."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from unstuck.core.servables import Loader, Servable
from unstuck.core.signatures import METHOD_NAMES, Signature, narrowed
from unstuck.pipeline.checks import UNPREPARED, check, check_without_functions, place
from unstuck.pipeline.document import read_pipeline
from unstuck.pipeline.prepared import PreparedCall, PreparedServable, raw_specs
from unstuck.pipeline.python_steps import PythonSteps
from unstuck.pipeline.schema import Expression, SignaturePipeline, names_in
from unstuck.pipeline.stages import Compile, Renames, Specs, Stage


class PreparedLoader(Loader):
    """Loads by another loader, and puts a pipeline around what that loads."""

    def __init__(
        self, inner: Loader, pipeline_file: Path, compile_stage: Compile, *, may_call_python: bool = True
    ) -> None:
        """Loads nothing yet.

        Args:
            inner: of the model.
            pipeline_file: the pipeline.
            compile_stage: is asked only for what names and Python alone cannot do.
            may_call_python: whether it may name functions; False where nobody but the model's folder says so.
        """
        self._may_call_python = may_call_python
        self._inner = inner
        self._file = pipeline_file
        self._compile = compile_stage
        self._stages: list[Stage] = []

    def load(self) -> Servable:
        pipeline = read_pipeline(self._file)
        if not self._may_call_python:
            check_without_functions(pipeline, self._file)
        servable = self._inner.load()
        try:
            check(pipeline, servable.signatures)
            calls = dict[str, PreparedCall]()
            for name, declared in pipeline.signatures.items():
                model = servable.signatures[name]
                calls[name] = self._call(model, declared)
                own = replace(model, name=name + UNPREPARED)
                calls[own.name] = PreparedCall(own, model, lambda inputs: inputs)
            return PreparedServable(servable, calls)
        except BaseException:
            self.unload()
            raise

    def estimate(self) -> int | None:
        return self._inner.estimate()

    def unload(self) -> None:
        stages, self._stages = self._stages, []
        for stage in stages:
            stage.close()
        self._inner.unload()

    def _call(self, model: Signature, declared: SignaturePipeline) -> PreparedCall:
        steps = PythonSteps(model.name, declared, self._file.parent)
        sources = {name: value.spec(name) for name, value in declared.sources().items()}
        where = place(model.name)
        before = self._stage(f"{where} inputs", declared.inputs, sources, model.inputs)
        after = None
        inner = model
        if declared.outputs is not None:
            after = self._stage(f"{where} outputs", declared.outputs, model.outputs, None)
            used = names_in(declared.outputs)
            inner = narrowed(model, [alias for alias in model.outputs if alias in used] or [*model.outputs])
        signature = replace(
            model,
            inputs=raw_specs(declared),
            outputs=after.outputs if after else model.outputs,
            method_name=METHOD_NAMES["predict"],
            takes_examples=False,
            defaults={},
        )
        return PreparedCall(
            signature=signature,
            inner=inner,
            prepare=(lambda raw: before.run(steps.run(raw))) if declared.python else before.run,
            finish=after.run if after else None,
            stateless=steps.stateless,
        )

    def _stage(self, where: str, expressions: Mapping[str, Expression], sources: Specs, wanted: Specs | None) -> Stage:
        used = names_in(expressions)
        known = {name: spec for name, spec in sources.items() if name in used} or sources
        if all(each.from_ is not None and not each.steps for each in expressions.values()):
            stage = Renames(where, expressions, known, wanted)
        else:
            stage = self._compile(where, expressions, known, wanted, self._file.parent)
        self._stages.append(stage)
        return stage
