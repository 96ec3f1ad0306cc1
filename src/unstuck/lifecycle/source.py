"""Finds the versions of a model on disk, and which of them are to be served."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from unstuck.core.models import AllVersions, Specific, VersionChoice
from unstuck.errors import SetupError

Files = tuple[tuple[str | int, ...], ...]  # of each its name, and what changes when it is written


class Found(Protocol):
    """A version that can be loaded, wherever it is. Two are equal if they are one version at one place."""

    @property
    def version(self) -> int: ...

    def files(self) -> Files:
        """Its files as they are now. Raises SetupError where that cannot be told."""
        ...

    def local(self) -> "tuple[VersionPath, Files]":
        """It on this machine, and the files that it was made of. Raises SetupError where it cannot be had."""
        ...


AnyFound = TypeVar("AnyFound", bound=Found)


@dataclass(frozen=True, slots=True)
class VersionPath:
    """One version's folder, or its file.

    Attributes:
        version: its number.
        path: where it is.
        lease: what keeps it there for as long as it is referred to, where it is a copy.
    """

    version: int
    path: Path
    lease: object = field(default=None, compare=False, repr=False)

    def files(self) -> Files:
        return files_of(self.path)

    def local(self) -> "tuple[VersionPath, Files]":
        return self, self.files()


def files_of(path: Path) -> Files:
    """The files at ``path``, with what changes when they are written."""
    files: list[tuple[str, int, int, int]] = []
    paths = [path] if path.is_file() else [Path(top) / name for top, _, names in os.walk(path) for name in names]
    for each in sorted(paths):
        try:
            stat = each.stat()
        except OSError:
            continue
        files.append((str(each), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(files)


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
        int(child.name): child for child in children if is_number(child.name) and child.is_dir()
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
    return no_numbers(base_path, [child.name for child in base_path.iterdir()])


def no_numbers(base_path: object, names: Iterable[str]) -> SetupError:
    """That none of ``names``, which are all that ``base_path`` has in it, is a version's."""
    inside = ", ".join(sorted(names)[:8]) or "nothing"
    return SetupError(
        f"{base_path} has no version folders (numbers such as 1/ or 00000123/) in it; it has {inside}.",
        hint="Export each version of the model to a numbered folder of its own.",
    )


def chosen(found: Sequence[AnyFound], choice: VersionChoice) -> list[AnyFound]:
    """Those of ``found``, which is oldest first, that are to be served."""
    if isinstance(choice, AllVersions):
        return list(found)
    if isinstance(choice, Specific):
        return [each for each in found if each.version in choice.versions]
    return list(found[-max(choice.count, 1) :])


def version_folder(path: Path) -> VersionPath:
    """``path`` itself as a version: its number where its name is one (of a file, its folder's), else 1."""
    name = path.parent.name if path.is_file() else path.name
    return VersionPath(number_of(name), path)


def is_number(name: str) -> bool:
    """Whether a folder of this name holds a version."""
    return name.isascii() and name.isdigit()


def number_of(name: str) -> int:
    """The version that a folder of this name, which is served by itself, is: its number, else 1."""
    return int(name) if is_number(name) else 1


def _nearest_existing(path: Path) -> str:
    parent = next((each for each in path.parents if each.is_dir()), None)
    if parent is None:
        return ""
    inside = ", ".join(sorted(child.name for child in parent.iterdir())[:8]) or "nothing"
    return f"{parent} exists and has {inside}."
