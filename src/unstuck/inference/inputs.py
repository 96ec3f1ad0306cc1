"""Whether bound tensors fit the signature they are meant for.

TensorFlow feeds whatever it is given, and a graph that happens to broadcast answers a wrongly shaped input with a wrong
result. TensorFlow Serving checks nothing, and some of its own examples live on it: they send [3] where [-1,1], [1] or
[] is declared. So what lacks only dimensions of size 1, or differs in the batch dimension, is passed on as sent, and
said; anything else is refused.
"""

from unstuck.core.signatures import Shape, Signature, Tensors, TensorSpec, show_shape
from unstuck.errors import WrongShape


def check_shapes(signature: Signature, inputs: Tensors) -> list[str]:
    """Warnings about inputs that were not sent in the declared shape, though with the same contents per row.

    Raises:
        WrongShape: an input whose rows are not what the signature declares.
    """
    warnings: list[str] = []
    for alias, spec in signature.inputs.items():
        shape = inputs[alias].shape
        if spec.shape is None or fits(shape, spec.shape):
            continue
        if not _same_rows(shape, spec.shape):
            raise WrongShape(
                f"Input {alias!r} expects shape {show_shape(spec.shape)} ({spec.dtype.name}), got {show_shape(shape)}.",
                hint=_advice(shape, spec),
            )
        warnings.append(
            f"input {alias!r} was sent with shape {show_shape(shape)}, "
            f"declared {show_shape(spec.shape)}; passed on as sent."
        )
    return warnings


def fits(shape: Shape, declared: Shape) -> bool:
    if len(shape) != len(declared):
        return False
    for got, want in zip(shape, declared, strict=True):  # noqa: SIM110 - three times faster, on every request
        if want is not None and want != got:
            return False
    return True


def _same_rows(shape: tuple[int, ...], declared: Shape) -> bool:
    """Equal but for sizes of 1 left out, the batch dimension's size, or a batch before what is declared without one.

    A size of 1 too many is not passed on: some ops (Decision Forests') abort the whole process when they meet it.
    """
    has_batch = declared[:1] == (None,)
    if not has_batch and fits(shape[1:], declared):
        return True
    return len(shape) <= len(declared) and fits(_row(shape), _row(declared))


def _row(shape: Shape) -> tuple[int | None, ...]:
    return tuple(size for size in shape[1:] if size != 1)


def _advice(shape: tuple[int, ...], spec: TensorSpec) -> str:
    declared = spec.shape or ()
    if len(shape) + 1 == len(declared) and fits(shape, declared[1:]):
        return "This is one row without its batch: put it into a list, [row]."
    if len(shape) == len(declared):
        wrong = [at for at, (want, got) in enumerate(zip(declared, shape, strict=True)) if want not in (None, got)]
        return f"Dimension {wrong[0]} must be {declared[wrong[0]]}, not {shape[wrong[0]]}."
    return f"It has {len(shape)} dimensions, not {len(declared)}."
