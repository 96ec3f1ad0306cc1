"""Preparation in Python, for what no framework's ops can do: Hugging Face tokenizers, and functions of the user's.

The server runs it before the model, on whole batches: arrays whose first dimension counts the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unstuck.core.signatures import Tensor, Tensors, TensorSpec, show_shape
from unstuck.errors import WrongShape
from unstuck.pipeline.checks import place
from unstuck.pipeline.schema import SignaturePipeline, Tokenizer
from unstuck.pipeline.tokenizer import LoadedTokenizer
from unstuck.pipeline.user_function import UserFunction


class PythonSteps:
    """The Python steps of one signature. Thread-safe if the user's functions are.

    Attributes:
        stateless: whether what they give for a row depends on that row alone.
    """

    def __init__(self, signature_name: str, declared: SignaturePipeline, folder: Path) -> None:
        """Loads tokenizers and functions.

        Args:
            signature_name: whose they are.
            declared: has passed ``check``.
            folder: where the files are that they name.

        Raises:
            PipelineError: a file that cannot be loaded, or a library that is not installed.
        """
        specs = {name: value.spec(name) for name, value in declared.sources().items()}
        used = declared.used()
        self._steps: list[_Step] = []
        for name, step in declared.python.items():
            where = f"{place(signature_name)} python.{name}"
            gives = [given for given in step.gives(name) if given in used]
            if isinstance(step, Tokenizer):
                call = LoadedTokenizer(where, step, folder, [given.removeprefix(f"{name}.") for given in gives])
            else:
                call = UserFunction(where, step, specs[name], folder)
            self._steps.append(_Step(where, [specs[source] for source in step.from_], gives, call))
        self.stateless = all(step.call.stateless for step in self._steps)

    def run(self, raw: Tensors) -> dict[str, Tensor]:
        """The raw inputs and what the steps give, by name.

        Raises:
            WrongShape: inputs that are not rows, or not as many of one as of another.
            EngineError: what a step said.
        """
        known = dict(raw)
        for step in self._steps:
            known.update(step.run(known))
        return known


@dataclass(frozen=True, slots=True)
class _Step:
    where: str
    takes: Sequence[TensorSpec]
    gives: Sequence[str]
    call: LoadedTokenizer | UserFunction

    def run(self, known: Tensors) -> dict[str, Tensor]:
        arrays = [known[spec.alias] for spec in self.takes]
        if not _are_rows(self.takes, arrays):
            came = ", ".join(
                f"{spec.alias!r} declared {spec}, got {show_shape(array.shape)}"
                for spec, array in zip(self.takes, arrays, strict=True)
            )
            raise WrongShape(f"{self.where}: it takes as many rows of each input: {came}.")
        return dict(zip(self.gives, self.call(arrays), strict=True))


def _are_rows(specs: Sequence[TensorSpec], arrays: Sequence[Tensor]) -> bool:
    ranks_fit = all(array.ndim == len(spec.shape or ()) for spec, array in zip(specs, arrays, strict=True))
    return ranks_fit and len({len(array) for array in arrays}) == 1
