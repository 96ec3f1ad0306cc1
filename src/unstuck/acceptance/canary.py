"""Canaries: golden rows, or inputs that worked before, asked of a version that serves, and compared."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from unstuck.acceptance.comparing import Tolerance, first_difference
from unstuck.acceptance.golden import Row, rows_of
from unstuck.codecs import golden_json
from unstuck.core.servables import AvailableModel, Servable
from unstuck.core.signatures import Tensors
from unstuck.errors import SetupError, UnstuckError
from unstuck.guard.guarded import Known, code_of, is_finite, is_float
from unstuck.guard.quarantine import Failure

MOST_ROWS = 64  # of a signature; more are asked at each load


def golden_rows(model: AvailableModel, path: Path, *, have_passed: bool) -> dict[str, Sequence[Known]]:
    """The golden rows beside a version that it answers rightly, by signature: of those whose runs change nothing.

    Args:
        model: the version; its servable is asked.
        path: its folder, or its file.
        have_passed: whether all of them were asked, and are right.
    """
    place = (path if path.is_dir() else path.parent) / golden_json.PLACE
    if not place.is_file():
        return {}
    try:
        file = golden_json.parse(place.read_bytes(), place)
        rows = rows_of(model, file, place)
    except (OSError, SetupError):  # which was said when the version was accepted
        return {}
    tolerance = Tolerance(file.tolerance.get("relative"), file.tolerance.get("absolute"))
    found: dict[str, list[Known]] = {}
    for row in rows:
        rows_so_far = found.setdefault(row.signature.name, [])
        if row.signature.name in model.servable.stateless and len(rows_so_far) < MOST_ROWS:
            known = _known(row, tolerance)
            rows_so_far += [known] if have_passed or ask(model.servable, known) is None else []
    return {name: _alike(rows) for name, rows in found.items() if rows}


def ask(servable: Servable, known: Known) -> Failure | None:
    """What is wrong with the answer to ``known`` now; None where nothing is."""
    signature = servable.signatures.get(known.signature)
    if signature is None or signature.inputs.keys() != known.inputs.keys():
        return None  # of other files than it was known of
    where = f"{known.where}, signature {known.signature!r}"
    try:
        outputs = servable.run(signature, known.inputs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not an answer
        said = error.message if isinstance(error, UnstuckError) else repr(error)
        return Failure("engine error", f"{where}: {said}", code_of(error))
    for alias in sorted(known.finite):
        if not is_finite(outputs[alias]):
            return Failure("not finite", f"{where}: output {alias!r} has NaN or Infinity")
    try:
        said = known.check(outputs)
    except (KeyError, ValueError, TypeError) as error:
        said = repr(error)
    return Failure("canary", f"{where}: {said}") if said else None


def first_failure(servable: Servable, known: Sequence[Known]) -> tuple[Known, Failure] | None:
    """The first of ``known`` that is answered wrongly, and how."""
    return next(((each, failure) for each in known if (failure := ask(servable, each)) is not None), None)


def _known(row: Row, tolerance: Tolerance) -> Known:
    expected = row.golden.outputs
    finite = frozenset(alias for alias, array in expected.items() if is_float(array.dtype) and is_finite(array))
    where, check = f"golden row of {row.where}", partial(_wrong, expected, tolerance)
    return Known(where, row.signature.name, row.golden.inputs, finite, check, is_golden=True)


def _wrong(expected: Tensors, tolerance: Tolerance, outputs: Tensors) -> str:
    return first_difference(expected, outputs, tolerance)


def _alike(rows: Sequence[Known]) -> Sequence[Known]:
    """With the same outputs taken for finite: those that are in all of them."""
    finite = rows[0].finite
    for row in rows:
        finite &= row.finite
    return [replace(row, finite=finite) for row in rows]
