"""Stages: what makes some values of others before a model runs, or after, outside of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from unstuck.core.signatures import Tensors, TensorSpec
from unstuck.pipeline.checks import fits
from unstuck.pipeline.schema import Expression

Specs = Mapping[str, TensorSpec]


class Stage(Protocol):
    """Makes some values of others. Thread-safe."""

    @property
    def outputs(self) -> Specs:
        """What it makes."""
        ...

    def run(self, known: Tensors) -> Tensors: ...

    def close(self) -> None: ...


class Compile(Protocol):
    """An engine's way to make a stage of expressions."""

    def __call__(
        self, where: str, expressions: Mapping[str, Expression], sources: Specs, wanted: Specs | None, folder: Path
    ) -> Stage:
        """A stage that makes ``expressions``.

        Args:
            where: how messages call them.
            expressions: by alias.
            sources: what they are made of, by name.
            wanted: what they must fit, by alias; None where anything fits.
            folder: where the files are that steps name.

        Raises:
            PipelineError: they do not fit.
            SetupError: the engine's framework is not installed.
        """
        ...


class Renames(Stage):
    """A stage of names alone, which needs no framework."""

    def __init__(self, where: str, expressions: Mapping[str, Expression], sources: Specs, wanted: Specs | None) -> None:
        """As ``Compile``; each of ``expressions`` must be a name without steps."""
        self._moves: list[tuple[str, str, bool]] = []
        specs = dict[str, TensorSpec]()
        for alias, expression in sorted(expressions.items()):
            assert expression.from_ is not None
            source = sources[expression.from_]
            whole = wanted is None or fits(f"{where}.{alias}", source.dtype, source.shape, wanted[alias])
            self._moves.append((alias, expression.from_, whole))
            specs[alias] = replace(source, alias=alias)
        self._outputs = specs

    @property
    def outputs(self) -> Specs:
        return self._outputs

    def run(self, known: Tensors) -> Tensors:
        return {alias: known[source] if whole else known[source][..., None] for alias, source, whole in self._moves}

    def close(self) -> None:
        pass
