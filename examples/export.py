"""Trains the examples and exports them to examples/models, where that is not done yet: python -m examples.export."""

import argparse
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path

from examples import image, tabular, text

EXAMPLES = (text, tabular, image)
NAMES = [name for example in EXAMPLES for name in (example.NAME, f"{example.NAME}_broken")]
MODELS = Path(__file__).parent / "models"
STAMP = MODELS / ".stamp"


def main() -> None:
    """The command line: exports what is missing or out of date, or everything with --force."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--force", action="store_true", help="export again, although nothing has changed")
    ensure_exported(parser.parse_args().force)


def ensure_exported(force: bool = False) -> None:
    """Exports the models unless they are there and up to date, and prints one line for each."""
    MODELS.mkdir(exist_ok=True)
    with open(MODELS / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second exporter waits, then finds nothing to do
        if force or not up_to_date():
            export()


def digest() -> str:
    """The state of the sources that the models come from."""
    sources = [__file__, *(example.__file__ for example in EXAMPLES)]
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()


def up_to_date() -> bool:
    """Whether every model was exported from the sources as they are now."""
    exported = all((MODELS / name / "1" / "saved_model.pb").exists() for name in NAMES)
    return exported and STAMP.exists() and STAMP.read_text() == digest()


def export() -> None:
    """Exports all models aside, then moves them into place, so that no reader finds half a model."""
    import_keras_quietly()
    from keras.export import ExportArchive

    STAMP.unlink(missing_ok=True)
    aside = MODELS / ".aside"
    shutil.rmtree(aside, ignore_errors=True)
    for example in EXAMPLES:
        started = time.perf_counter()
        for name, model in example.models().items():
            archive = ExportArchive()
            archive.track_and_add_endpoint("serving_default", model, [model.input])
            archive.write_out(aside / name / "1", verbose=False)
            size = sum(file.stat().st_size for file in (aside / name).rglob("*") if file.is_file())
            print(f"exported {name:24} {size / 1e3:4.0f} kB {time.perf_counter() - started:5.1f} s", flush=True)
            started = time.perf_counter()
    for name in NAMES:
        shutil.rmtree(MODELS / name, ignore_errors=True)
        (aside / name).rename(MODELS / name)
    aside.rmdir()
    STAMP.write_text(digest())


def import_keras_quietly() -> None:
    """Imports Keras with TensorFlow for the CPU, and hides what TensorFlow logs about GPUs that are not there."""
    os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # C++ logs to the file descriptor, whatever sys.stderr and the log level are
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


if __name__ == "__main__":
    main()
