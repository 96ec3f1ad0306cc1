from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from remote_memory import MemoryStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """An empty one; fsspec has one for the whole process."""
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return MemoryStore(tmp_path / "cache")
