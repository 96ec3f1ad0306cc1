"""The names of files in a pipeline file: beside it, as whoever wrote it may be a stranger."""

from pathlib import PurePath
from typing import Annotated

from pydantic import AfterValidator, Field


def beside(value: str) -> str:
    """``value``. Raises ValueError where it leaves the folder."""
    path = PurePath(value)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"expected a file beside the pipeline file, got {value!r}")
    return value


File = Annotated[str, Field(min_length=1), AfterValidator(beside)]
