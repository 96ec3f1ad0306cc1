"""``python -m unstuck.choosing.convert``: the process that converts one signature of a SavedModel to ONNX.

It gives way to whoever serves: it is the last to get a CPU, and the first to be killed where memory runs out. It ends
with its parent, however that ends.
"""

import os
import resource
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

NICE = 19
OPSET = 18
SAID = 1000  # characters of a reason
STANDARD = ("", "ai.onnx")
_FIRST_TO_DIE = "1000"


def main(saved_model: str, tags: str, signature: str, out: str, memory_bytes: str) -> None:
    """Writes the ONNX model ``out``, or says on the standard output why not, and exits with 1.

    Args:
        saved_model: its folder.
        tags: of the meta graph, separated by commas.
        signature: its name.
        out: a file, in a folder that is removed afterwards.
        memory_bytes: that the process may take.
    """
    os.nice(NICE)
    _die_first()
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_bytes), int(memory_bytes)))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    said, sys.stdout = sys.stdout, sys.stderr
    try:
        _convert(_without_slots(Path(saved_model), Path(out).parent), tags, signature, out)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever tf2onnx raises is why there is no model
        print(" ".join(f"{type(error).__name__}: {error}".split())[:SAID], file=said, flush=True)
        sys.exit(1)


def _convert(saved_model: Path, tags: str, signature: str, out: str) -> None:
    convert: Any = import_module("tf2onnx.convert")
    sys.argv = ["tf2onnx", "--saved-model", str(saved_model), "--tag", tags, "--signature_def", signature]
    sys.argv += ["--output", out, "--opset", str(OPSET)]
    convert.main()
    onnx: Any = import_module("onnx")
    ops = {node.op_type for node in onnx.load(out).graph.node if node.domain in STANDARD}
    if unknown := sorted(op for op in ops if not onnx.defs.has(op)):
        raise ValueError(f"there is no such op in ONNX: {', '.join(unknown)}")


def _without_slots(saved_model: Path, folder: Path) -> Path:
    """The model without what its optimizer remembers of each weight, which Keras 3 cannot load from one of Keras 2."""
    from unstuck.engines.tensorflow.runtime import loader_impl

    copied = folder / "saved_model"
    copied.mkdir()
    for part in ("variables", "assets"):
        if (saved_model / part).is_dir():
            (copied / part).symlink_to((saved_model / part).resolve())
    parsed = loader_impl.parse_saved_model(str(saved_model))
    for meta_graph in parsed.meta_graphs:
        for node in meta_graph.object_graph_def.nodes:
            node.ClearField("slot_variables")
    (copied / "saved_model.pb").write_bytes(parsed.SerializeToString())
    return copied


def _die_first() -> None:
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text(_FIRST_TO_DIE)


def _end_with_parent() -> None:
    sys.stdin.read()  # whose other end the parent holds
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
