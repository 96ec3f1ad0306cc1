"""The frameworks that run models, found by the entry-point group ``unstuck.engines`` and imported on demand."""

from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from unstuck.core.servables import Engine
from unstuck.errors import LoadFailed

GROUP = "unstuck.engines"


def installed(*, prefer_tflite: bool = False) -> list[Engine]:
    """Every engine that is installed, its framework not yet imported.

    Of those that recognise a folder, the first serves it. TensorFlow's is the first: as with TensorFlow Serving, a
    folder with a SavedModel and more is a SavedModel; unless its TensorFlow Lite model is preferred.
    """
    first = ("tflite", "tensorflow") if prefer_tflite else ("tensorflow",)
    order = {name: at for at, name in enumerate(first)}
    entries = sorted(entry_points(group=GROUP), key=lambda entry: (order.get(entry.name, len(order)), entry.name))
    return [entry.load() for entry in entries]


def is_called(engine: Engine, platform: str) -> bool:
    """Whether a configuration that says ``platform`` means the engine; TensorFlow Serving has one name for two."""
    return platform in ("", engine.platform) or (platform, engine.platform) == ("tensorflow", "tflite")


def engine_of(path: Path, candidates: Sequence[Engine], platform: str) -> Engine:
    """The first of ``candidates`` that recognises the version ``path``.

    Raises:
        LoadFailed: there is none, or it is not called ``platform``.
    """
    engine = next((each for each in candidates if each.recognises(path)), None)
    if engine is None:
        raise _unrecognised(path)
    if not is_called(engine, platform):
        raise LoadFailed(f"{path} is of the platform {engine.platform!r}, and model_platform says {platform!r}.")
    return engine


def _unrecognised(path: Path) -> LoadFailed:
    inside = ", ".join(_listing(path)) or "nothing"
    hint = "Export it with tf.saved_model.save(model, PATH) or model.export(PATH)."
    for kind in ("onnx", "tflite"):
        if file := next(iter(sorted(path.glob(f"*.{kind}"))), None):
            hint = f"Call the file model.{kind}, or serve it by itself: unstuck serve {file}"
    if (path / "export.meta").exists():
        hint = (
            "This is a SessionBundle of TensorFlow before 1.0, which no longer loads anywhere: "
            + hint[0].lower()
            + hint[1:]
        )
    return LoadFailed(f"{path} has no saved_model.pb, model.onnx or model.tflite; it has {inside}.", hint=hint)


def _listing(path: Path) -> Iterator[str]:
    for number, child in enumerate(sorted(path.iterdir()) if path.is_dir() else ()):
        if number == 8:
            yield "…"
            return
        yield child.name
