"""Inputs drawn from a signature alone, for an experiment."""

from collections.abc import Sequence

from unstuck.core.signatures import Signature
from unstuck.data import drawing
from unstuck.data.drawing import Scale
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.lab import Row


def draw(
    signature: Signature,
    rows: int,
    seed: int,
    scale: Scale = "unit",
    vocabulary: Sequence[bytes] = (),
    ids: int | None = None,
) -> list[Row]:
    """As ``data.drawing.draw``. Raises NotRun where nothing can be drawn."""
    try:
        return list[Row](drawing.draw(signature, rows, seed, scale, vocabulary, ids))
    except drawing.CannotDraw as why:
        raise NotRun(str(why)) from None
