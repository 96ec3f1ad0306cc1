"""A store in memory, and the models that read it."""

from pathlib import Path

import fsspec

from unstuck.core.locations import RemotePath
from unstuck.lifecycle.remote import RemoteModels

BASE = RemotePath("memory://store/half")


def recognises(path: Path) -> bool:
    return (path / "saved_model.pb").is_file()


class MemoryStore:
    """What is in ``memory://store/half``; reads by others are counted and can be made to fail."""

    def __init__(self, folder: Path) -> None:
        self.files = fsspec.filesystem("memory")
        self.models = RemoteModels(recognises, folder)

    def put(self, name: str, content: bytes = b"content") -> None:
        self.files.pipe_file(f"/store/half/{name}", content)

    def version(self, number: int | str, content: bytes = b"graph") -> None:
        self.put(f"{number}/saved_model.pb", content)
        self.put(f"{number}/variables/variables.index", b"index")

    def remove(self, name: str = "") -> None:
        self.files.rm(f"/store/half/{name}".rstrip("/"), recursive=True)


def tree(folder: Path) -> dict[str, bytes]:
    """The files in ``folder`` by their names in there."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
