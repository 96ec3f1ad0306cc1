"""The frameworks that run models, found by the entry-point group ``unstuck.engines`` and imported on demand."""

from importlib.metadata import entry_points

from unstuck.core.servables import Engine

GROUP = "unstuck.engines"


def installed() -> list[Engine]:
    """Every engine that is installed, its framework not yet imported.

    TensorFlow's is the first: as with TensorFlow Serving, a folder with a SavedModel and more is a SavedModel.
    """
    entries = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name != "tensorflow", entry.name))
    return [entry.load() for entry in entries]
