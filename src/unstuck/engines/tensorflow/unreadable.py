"""What is said of a saved_model.pb that cannot be read, by whichever reader."""

from pathlib import Path

from unstuck.errors import LoadFailed


def unreadable(version_path: Path, error: Exception) -> LoadFailed:
    """Its bytes are none of a SavedModel, or cannot be had."""
    return LoadFailed(
        f"{version_path} has no readable saved_model.pb: {str(error).rstrip('.')}.",
        hint="If it is cut off or damaged, copy or export it again.",
    )


def without_graph(version_path: Path) -> LoadFailed:
    """It can be read, and nothing is in it."""
    return LoadFailed(f"{version_path}/saved_model.pb holds no graph: the file is empty or cut off.")
