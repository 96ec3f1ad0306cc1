"""Stores elsewhere as fsspec reads them. It is imported when one is first used."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from unstuck.core.locations import RemotePath
from unstuck.errors import LoadFailed, SetupError, UnstuckError

RemoteFiles = tuple[tuple[str, int, str], ...]  # of each its name, its size, and a tag that changes when it is written

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf"}
# What changes when a file is written, the surest first; stores have names of their own for it.
UNKNOWN = -1  # a size
TAGS = ("ETag", "etag", "md5Hash", "blob_id", "generation", "LastModified", "last_modified", "mtime", "created")


class Unreachable(LoadFailed):
    """The store did not answer as it should; it may a while later."""

    def __init__(self, message: str) -> None:
        super().__init__(message, may_pass=True)


class _FileSystem(Protocol):
    """The part of fsspec's AbstractFileSystem that is used."""

    def invalidate_cache(self) -> None: ...

    def ls(self, path: str, detail: bool) -> list[Mapping[str, Any]]: ...

    def find(self, path: str, detail: bool) -> dict[str, Mapping[str, Any]]: ...

    def get(self, rpath: list[str], lpath: list[str], callback: object) -> object: ...


class Store:
    """What is in a base path. Thread-safe. Every method raises SetupError; Unreachable where that may pass."""

    def __init__(self, base: RemotePath) -> None:
        self._base = base

    def names(self) -> dict[str, str]:
        """What is in it, by name: file or directory. ``{"": "file"}`` if it is a file, nothing if it does not exist."""
        with self._told("cannot be listed"):
            files, root = self._open()
            try:
                entries = files.ls(root, detail=True)
            except FileNotFoundError:
                return {}
        return {_relative(each["name"].rstrip("/"), root): each["type"] for each in entries if not _is_marker(each)}

    def files(self, folder: str) -> RemoteFiles:
        """All files in ``folder``, or of the base path itself, by their names in there, sizes and tags."""
        with self._told("cannot be listed"):
            files, root = self._open(folder)
            try:
                entries = files.find(root, detail=True)
            except FileNotFoundError:
                return ()
        return tuple(
            (
                _relative(name, root) or root.rpartition("/")[2],
                UNKNOWN if each["size"] is None else each["size"],
                _tag(each),
            )
            for name, each in sorted(entries.items())
            if each["type"] == "file" and not _is_marker(each)
        )

    def get(self, names: Sequence[str], places: Sequence[Path], progress: object) -> None:
        """Copies files, by their names in the base path, to ``places``; ``progress`` is a fsspec.Callback."""
        for parent in {place.parent for place in places}:
            parent.mkdir(parents=True, exist_ok=True)
        with self._told("cannot be copied"):
            files, root = self._open()
            paths = [f"{root}/{name}" if name else root for name in names]
            files.get(paths, [str(place) for place in places], callback=progress)

    def _open(self, folder: str = "") -> tuple[_FileSystem, str]:
        """Its file system, which has forgotten earlier answers, and the path in there."""
        from fsspec.core import url_to_fs  # pyright: ignore[reportUnknownVariableType]

        files, root = cast("tuple[_FileSystem, str]", url_to_fs(self._base.url))
        files.invalidate_cache()
        root = root.rstrip("/")
        if not root:
            raise SetupError(
                f"{self._base.protocol}:// names no folder.", hint="Expected such as s3://bucket/models/name."
            )
        return files, f"{root}/{folder}" if folder else root

    @contextmanager
    def _told(self, what: str) -> Generator[None, None, None]:
        """Every store's errors as ours."""
        base = self._base
        try:
            yield
        except UnstuckError:
            raise
        except ImportError as error:
            extra = EXTRAS.get(base.protocol)
            hint = f'pip install "unstuck[{extra}]"' if extra else "pip install it, and fsspec, beside unstuck."
            raise SetupError(f"{base} needs a package that is not installed: {error}.", hint=hint) from None
        except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
            said = base.hidden_in(f"{type(error).__name__}: {error}".rstrip(".: "))
            message = f"{base} {what}: {said}."
            if isinstance(error, ValueError) and "Protocol not known" in said:
                raise SetupError(message, hint="Expected such as s3://, gs:// or hf://, or a local path.") from None
            if isinstance(error, PermissionError) or "credential" in type(error).__name__.lower():
                raise SetupError(message, hint=_CREDENTIALS) from None
            raise Unreachable(message) from None


_CREDENTIALS = "Credentials are taken from the environment, as the store's own tools take them."


def _is_marker(entry: Mapping[str, Any]) -> bool:
    """Whether it is the empty object, named ``folder/``, that some tools put where a folder would be."""
    return entry["type"] == "file" and entry["name"].endswith("/")


def _relative(name: str, root: str) -> str:
    """Empty for ``root`` itself."""
    return name.removeprefix(root).removeprefix("/")


def _tag(entry: Mapping[str, Any]) -> str:
    return next((str(entry[tag]) for tag in TAGS if entry.get(tag)), "")
