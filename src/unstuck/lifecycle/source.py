"""Finds the versions of a model on disk."""

from dataclasses import dataclass
from pathlib import Path

from unstuck.errors import SetupError


@dataclass(frozen=True, slots=True)
class VersionPath:
    """One version's folder, or its file."""

    version: int
    path: Path


def versions_in(base_path: Path) -> list[VersionPath]:
    """The numbered folders of ``base_path``, oldest first. ``00000123`` is version 123, as in TensorFlow Serving.

    Raises:
        SetupError: the folder does not exist, or has no numbered folder in it.
    """
    if not base_path.is_dir():
        what = "does not exist" if base_path.suffix and not base_path.exists() else "is not a folder"
        raise SetupError(f"{base_path} {what}.", hint=_nearest_existing(base_path))
    found = [
        VersionPath(int(child.name), child)
        for child in base_path.iterdir()
        if child.name.isascii() and child.name.isdigit() and child.is_dir()
    ]
    if not found:
        inside = ", ".join(sorted(child.name for child in base_path.iterdir())[:8]) or "nothing"
        raise SetupError(
            f"{base_path} has no version folders (numbers such as 1/ or 00000123/) in it; it has {inside}.",
            hint="Export each version of the model to a numbered folder of its own.",
        )
    return sorted(found, key=lambda each: each.version)


def version_folder(path: Path) -> VersionPath:
    """``path`` itself as a version: its number where its name is one (of a file, its folder's), else 1."""
    name = path.parent.name if path.is_file() else path.name
    return VersionPath(int(name) if name.isascii() and name.isdigit() else 1, path)


def _nearest_existing(path: Path) -> str:
    parent = next((each for each in path.parents if each.is_dir()), None)
    if parent is None:
        return ""
    inside = ", ".join(sorted(child.name for child in parent.iterdir())[:8]) or "nothing"
    return f"{parent} exists and has {inside}."
