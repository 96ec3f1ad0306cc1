"""What the places of a feature vector are called: as the columns of the training data, where it has one for each."""

from collections.abc import Sequence

from unstuck.data import sample
from unstuck.doctor.lab import Lab
from unstuck.errors import UnstuckError

_TABLES = frozenset({".csv", ".parquet"})


def names_of(lab: Lab) -> dict[str, Sequence[str]]:
    """By input alias, the names of its last dimension's places; inputs without known names are left out."""
    path = lab.question.training_data
    if path is None or path.suffix not in _TABLES or len(lab.signature.inputs) != 1:
        return {}
    alias, spec = next(iter(lab.signature.inputs.items()))
    try:
        columns = list(sample(path, 1, 0))
    except UnstuckError:
        return {}
    return {alias: columns} if spec.shape and spec.shape[-1] == len(columns) and len(columns) > 1 else {}
