"""What a pipeline file says, by signature.

signatures:
  serving_default:
    raw:                                   # what clients send, without the batch dimension
      feature_a: {dtype: float}
      feature_b: {dtype: float}
      text: {dtype: string}
    python:                                # optional: run before it by the server, and then known like raw inputs
      encoding: {tokenizer: tokenizer.json, from: text, length: 16}  # .ids, .attention_mask and .type_ids
      price: {function: "prepare.py:price", from: [text, feature_a], dtype: float}
    inputs:                                # how the model's inputs are made of it
      concatenated_features:
        concat:                            # in this order
          - feature_a
          - {from: feature_b, steps: [{z_score: {mean: 3.0, std: 2.0}}]}
          - price
      input_ids: encoding.ids
      word_ids:
        from: text
        steps: [lowercase, split, {vocabulary: {file: vocab.txt, unknown: 1}}, {pad: {length: 16, value: 0}}]
    outputs:                               # optional: what clients get, made of the model's outputs
      label: {from: scores, steps: [argmax, {labels: {names: [no, yes], unknown: "?"}}]}
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from unstuck.core.dtypes import DType, named
from unstuck.core.signatures import TensorSpec
from unstuck.errors import nearest
from unstuck.pipeline.files import File, beside
from unstuck.pipeline.steps import STEPS, Step


def _step(value: object) -> object:
    if isinstance(value, Step):
        return value
    name, settings = value, {}
    if isinstance(value, dict) and len(cast("dict[object, object]", value)) == 1:
        ((name, settings),) = cast("dict[object, Any]", value).items()
    if not isinstance(name, str):
        raise ValueError("expected a step: its name, or {name: {setting: value}}")
    kind = STEPS.get(name)
    if kind is None:
        near = nearest(name, STEPS)
        raise ValueError(f"there is no step {name!r}" + (f"; did you mean {near!r}?" if near else ""))
    try:
        return kind.model_validate({} if settings is None else settings)
    except ValidationError as error:
        raise ValueError(f"{name}: {'; '.join(map(_setting_fault, error.errors()))}") from None


def _setting_fault(fault: Any) -> str:
    place = ".".join(map(str, fault["loc"]))
    message = str(fault["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{place}: {message}" if place else message


def _expression(value: object) -> object:
    return {"from": value} if isinstance(value, str) else value


def _constant(value: object) -> object:
    values = _listed(value)
    if value is not None and not (values and (_all(values, str) or _all(values, int, float))):
        raise ValueError("expected a number, text, or a list of numbers or of texts")
    return value


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _all(values: list[Any], *kinds: type) -> bool:
    return all(isinstance(each, kinds) and not isinstance(each, bool) for each in values)


def _dtype(value: str) -> str:
    found = named(value)
    if found is None or found.numpy is None:
        raise ValueError(f"there is no dtype {value!r}; expected one such as float, int64, string")
    return found.name


DTypeName = Annotated[str, BeforeValidator(lambda value: _dtype(str(value)))]


class RawInput(BaseModel):
    """One input as clients send it: its dtype, and its shape without the batch dimension."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: DTypeName
    shape: list[Annotated[int, Field(ge=-1)]] = []

    @property
    def tensor_dtype(self) -> DType:
        """Its dtype as ``core`` knows it."""
        found = named(self.dtype)
        assert found is not None
        return found

    def spec(self, alias: str) -> TensorSpec:
        """It as the input ``alias`` of a signature."""
        sizes = (None if size < 0 else size for size in self.shape)
        return TensorSpec(alias, alias, self.tensor_dtype, (None, *sizes))


class Expression(BaseModel):
    """A value: one that has a name, several joined, or a constant; then changed by steps.

    Attributes:
        from_: the name of a raw input (of an output, under ``outputs``).
        concat: values joined along their last dimension, each row's scalars counting as one element, in this order.
        stack: values joined along a new last dimension.
        constant: the same value for every row.
        steps: applied in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    from_: str | None = Field(None, alias="from")
    concat: "Annotated[list[Part], Field(min_length=1)] | None" = None
    stack: "Annotated[list[Part], Field(min_length=1)] | None" = None
    constant: Annotated[float | int | str | list[float] | list[int] | list[str] | None, BeforeValidator(_constant)] = (
        None
    )
    steps: list[Annotated[Any, BeforeValidator(_step)]] = []

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [value for value in (self.from_, self.concat, self.stack, self.constant) if value is not None]
        if len(given) != 1:
            raise ValueError("expected one of from, concat, stack and constant")
        return self

    def names(self) -> set[str]:
        """Every name that it is made of."""
        inner = [name for part in (self.concat or []) + (self.stack or []) for name in part.names()]
        return {*inner, *([self.from_] if self.from_ is not None else [])}


Part = Annotated[Expression, BeforeValidator(_expression)]


def names_in(expressions: Mapping[str, Expression]) -> set[str]:
    """Every name that one of ``expressions`` is made of."""
    return {name for expression in expressions.values() for name in expression.names()}


def _names(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Tokenizer(BaseModel):
    """Text to token ids by a Hugging Face tokenizer, as its file says; each row cut or padded to one length.

    Attributes:
        tokenizer: the tokenizer.json, its path beside the pipeline file.
        from_: the text, or a pair of texts, which the tokenizer joins.
        length: of a row.
        pad_id: what rows are filled up with; the tokenizer's own where left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokenizer: File
    from_: Annotated[list[str], Field(alias="from", min_length=1, max_length=2), BeforeValidator(_names)]
    length: Annotated[int, Field(gt=0)]
    pad_id: Annotated[int, Field(ge=0)] | None = None

    def gives(self, name: str) -> dict[str, RawInput]:
        """What it gives, where it is called ``name``."""
        row = RawInput(dtype="int64", shape=[self.length])
        return {f"{name}.{part}": row for part in ("ids", "attention_mask", "type_ids")}


class Function(BaseModel):
    """Arrays to an array, by a Python function of the user's.

    Attributes:
        function: ``FILE.py:NAME``, the file's path beside the pipeline file.
        from_: its arguments, in this order: arrays [rows, …], strings as objects that are bytes.
        dtype: of what it returns.
        shape: of a row of what it returns.
        stateless: whether what it gives for a row depends on that row alone: only then may calls be run together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    function: str
    from_: Annotated[list[str], Field(alias="from", min_length=1), BeforeValidator(_names)]
    dtype: DTypeName
    shape: list[Annotated[int, Field(ge=-1)]] = []
    stateless: bool = False

    @field_validator("function")
    @classmethod
    def _file_and_name(cls, value: str) -> str:
        file, _, name = value.partition(":")
        if not file.endswith(".py") or not name.isidentifier():
            raise ValueError(f"expected FILE.py:NAME, got {value!r}")
        beside(file)
        return value

    def gives(self, name: str) -> dict[str, RawInput]:
        """What it gives, where it is called ``name``."""
        return {name: RawInput(dtype=self.dtype, shape=self.shape)}


def _kind(value: object) -> str | None:
    if isinstance(value, Tokenizer | Function):
        return f"<{type(value).__name__.lower()}>"
    return next((f"<{key}>" for key in ("tokenizer", "function") if isinstance(value, dict) and key in value), None)


# Tags that are no keys, so that a fault is found under the name that the entry has in its file.
PythonStep = Annotated[
    Annotated[Tokenizer, Tag("<tokenizer>")] | Annotated[Function, Tag("<function>")],
    Discriminator(
        _kind,
        custom_error_type="python_step",
        custom_error_message="Expected {tokenizer: FILE, …} or {function: FILE.py:NAME, …}",
    ),
]


class SignaturePipeline(BaseModel):
    """How one signature is called: raw inputs in, the model's inputs made of them, and the way back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    raw: Annotated[dict[str, RawInput], Field(min_length=1)]
    python: dict[str, PythonStep] = {}
    inputs: Annotated[dict[str, Part], Field(min_length=1)]
    outputs: dict[str, Part] | None = None

    @field_validator("outputs")
    @classmethod
    def _some(cls, value: dict[str, Expression] | None) -> dict[str, Expression] | None:
        if value is not None and not value:
            raise ValueError("expected at least one output, or no outputs at all")
        return value

    def sources(self) -> dict[str, RawInput]:
        """What inputs may be made of, by name: raw inputs, and what Python gives."""
        given = [step.gives(name) for name, step in self.python.items()]
        return self.raw | {name: value for each in given for name, value in each.items()}

    def used(self) -> set[str]:
        """The names that the model's inputs, or Python's steps, are made of."""
        return names_in(self.inputs) | {name for step in self.python.values() for name in step.from_}


class Pipeline(BaseModel):
    """A whole pipeline file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signatures: Annotated[dict[str, SignaturePipeline], Field(min_length=1)]
