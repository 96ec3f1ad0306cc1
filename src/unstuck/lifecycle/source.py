"""Finds the versions of a model on disk, and which of them are to be served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unstuck.core.models import AllVersions, Specific, VersionChoice
from unstuck.errors import SetupError


@dataclass(frozen=True, slots=True)
class VersionPath:
    """One version's folder, or its file."""

    version: int
    path: Path


def numbered_folders(base_path: Path) -> list[VersionPath]:
    """The numbered folders of ``base_path``, oldest first. ``00000123`` is version 123, as in TensorFlow Serving.

    Raises:
        SetupError: the folder does not exist, or cannot be read.
    """
    try:
        children = sorted(base_path.iterdir()) if base_path.is_dir() else []
    except OSError as error:
        raise SetupError(f"{base_path} cannot be read: {error.strerror}.") from None
    found = {  # of 007 and 7 it is 7, as in TensorFlow Serving
        int(child.name): child for child in children if child.name.isascii() and child.name.isdigit() and child.is_dir()
    }
    if not base_path.is_dir():  # asked last: it may have been moved away since
        what = "does not exist" if base_path.suffix and not base_path.exists() else "is not a folder"
        raise SetupError(f"{base_path} {what}.", hint=_nearest_existing(base_path))
    return [VersionPath(version, found[version]) for version in sorted(found)]


def versions_in(base_path: Path) -> list[VersionPath]:
    """As ``numbered_folders``, of which there is at least one.

    Raises:
        SetupError: the folder does not exist, or has no numbered folder in it.
    """
    found = numbered_folders(base_path)
    if not found:
        raise no_versions(base_path)
    return found


def no_versions(base_path: Path) -> SetupError:
    """That the folder has no numbered folder in it, and what it has instead."""
    inside = ", ".join(sorted(child.name for child in base_path.iterdir())[:8]) or "nothing"
    return SetupError(
        f"{base_path} has no version folders (numbers such as 1/ or 00000123/) in it; it has {inside}.",
        hint="Export each version of the model to a numbered folder of its own.",
    )


def chosen(found: Sequence[VersionPath], choice: VersionChoice) -> list[VersionPath]:
    """Those of ``found``, which is oldest first, that are to be served."""
    if isinstance(choice, AllVersions):
        return list(found)
    if isinstance(choice, Specific):
        return [each for each in found if each.version in choice.versions]
    return list(found[-max(choice.count, 1) :])


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
