"""A number of each row's answer beside the reference's, to be drawn."""

from collections.abc import Mapping

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.doctor.experiments.explaining import paired


def pairs_of(reference: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> list[tuple[float, float]]:
    """For each row the reference's number and the one that came, where the reference varies most.

    Args:
        reference: by output alias, rows first.
        got: the answers compared with it.
    """
    best: tuple[float, list[tuple[float, float]]] = (-1.0, [])
    for alias, other in paired(reference, got).items():
        known, came = (np.asarray(each) for each in (reference[alias], got[other]))
        is_numeric = known.dtype.kind in "fiub" and came.dtype.kind in "fiub"
        if not is_numeric or known.shape != came.shape or not known.size or not known.ndim:
            continue
        known, came = (each.reshape(len(each), -1).astype(np.float64) for each in (known, came))
        spread = np.nan_to_num(known.std(axis=0), nan=0.0, posinf=0.0)
        place = int(spread.argmax())
        if spread[place] > best[0]:
            best = float(spread[place]), list(zip(known[:, place].tolist(), came[:, place].tolist(), strict=True))
    return best[1]
