"""Numbers whose bytes came in the other order: as such, or as the bytes of a text."""

from collections.abc import Iterator, Sequence

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.experiments.preparing import WIDTHS
from unstuck.doctor.experiments.reference import distance

_FLOATS = ("float32", "float64", "float16")
_INTEGERS = ("int16", "uint16", "int32", "uint32", "int64")
_MOST_BYTES = 200_000
APART, ALIKE = 0.2, 0.1  # distances as they are, and once turned
NEARLY = 0.9  # of the best gain


def swaps(values: "np.ndarray") -> Iterator[Preparation]:
    """Bytes turned in each type of number that holds all of ``values``."""
    least, most = float(values.min(initial=0)), float(values.max(initial=0))
    is_whole = bool((values == np.round(values)).all())
    integers = [each for each in _INTEGERS if np.iinfo(each).min <= least and most < float(np.iinfo(each).max)]
    for number in (*_FLOATS, *(integers if is_whole else ())):
        if number in _INTEGERS or max(-least, most) <= float(np.finfo(number).max):
            yield Preparation(name=f"with the bytes of each {number} turned", kinds=["swap bytes"], number=number)


def turned_width(texts: Sequence[bytes], reference: Sequence[bytes]) -> int:
    """The bytes of a number, where ``texts`` are those of ``reference`` with each number's bytes turned; 0 for none."""
    found = {width: _gain(texts, reference, width) for width in WIDTHS if _are_numbers(texts, reference, width)}
    best = max(found.values(), default=0.0)
    # Two numbers turned at once are as many turned each, in another order: the distribution is the same.
    return min((width for width, gain in found.items() if gain >= NEARLY * best > 0), default=0)


def _are_numbers(texts: Sequence[bytes], reference: Sequence[bytes], width: int) -> bool:
    """Whether they can be numbers of ``width`` bytes, and are no text that is written in characters."""
    both = [*texts, *reference]
    whole = all(len(each) % width == 0 for each in both) and any(texts) and any(reference)
    return whole and 2 * sum(_is_text(each) for each in both) < len(both)


def _is_text(each: bytes) -> bool:
    try:
        return each.decode().replace("\n", "").replace("\t", "").isprintable()
    except UnicodeDecodeError:
        return False


def _gain(texts: Sequence[bytes], reference: Sequence[bytes], width: int) -> float:
    """How much nearer turning brings them; 0 where they are near as they are, or not near once turned."""
    sent, known = (_numbers(each, width) for each in (texts, reference))
    apart, turned = _apart(sent, known), _apart(sent.byteswap(), known)
    return apart - turned if apart >= APART and turned <= max(ALIKE, _noise(sent, known)) < apart / 2 else 0.0


def _numbers(texts: Sequence[bytes], width: int) -> Tensor:
    data = b"".join(texts)[:_MOST_BYTES]
    return np.frombuffer(data[: len(data) - len(data) % width], f"<u{width}")


def _apart(one: Tensor, other: Tensor) -> float:
    """The larger distance of both readings of the bytes: each shows the order of what it takes for the high ones."""
    pairs = ((one, other), (one.byteswap(), other.byteswap()))
    return max(distance(a.astype(np.float64), b.astype(np.float64)) for a, b in pairs)


def _noise(one: Tensor, other: Tensor) -> float:
    return 1.63 * float(np.sqrt((one.size + other.size) / max(1, one.size * other.size)))
