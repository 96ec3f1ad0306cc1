"""The table of steps in the documentation has every kind, all of its settings, and the words of its docstring."""

import inspect
from pathlib import Path

import pytest

from unstuck.pipeline.steps import STEPS

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "pipeline.md"
ROWS = {
    name.strip(" `"): (settings, description.strip())
    for line in DOCUMENTATION.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
    for _, name, settings, description, _ in (line.split("|"),)
}


def test_the_table_has_every_kind_of_step_and_no_other():
    assert list(ROWS) == list(STEPS)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_described_as_by_its_docstring(name):
    settings, description = ROWS[name]
    assert description == " ".join(inspect.cleandoc(STEPS[name].__doc__ or "").split()).replace("``", "`")
    assert [each for each in STEPS[name].model_fields if f"`{each}`" not in settings] == []
