"""Writes the modules of src/unstuck/proto/wire/*.proto beside them.

    python -m tools.protos

Needs grpcio-tools, for its protoc. protoc adds a check that refuses every protobuf runtime older than itself. It is
taken out again: the modules only hand descriptors over to functions that protobuf has had since 5.26, and the check
would bind all installations to the newest protobuf, which older TensorFlow does not run with.
"""

import re
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
WIRE = "unstuck/proto/wire"

_RUNTIME_CHECK = re.compile(
    r"from google\.protobuf import runtime_version as _runtime_version\n"
    r"|_runtime_version\.ValidateProtobufRuntimeVersion\([^)]*\)\n"
    r"|# NO CHECKED-IN PROTOBUF GENCODE\n"
)


def generate(target: Path) -> None:
    """Writes ``*_pb2.py`` and ``*_pb2.pyi`` of every .proto file below ``target``.

    Raises:
        CalledProcessError: protoc refuses a file; it prints why.
        RuntimeError: protoc's runtime check no longer looks as expected.
    """
    protos = sorted(str(path) for path in (SOURCES / WIRE).glob("*.proto"))
    outputs = [f"--python_out={target}", f"--pyi_out={target}"]
    # A process of its own: protoc's protobuf and TensorFlow's crash each other.
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCES}", *outputs, *protos], check=True)
    for module in (target / WIRE).glob("*_pb2.py"):
        text, found = _RUNTIME_CHECK.subn("", module.read_text())
        if found != 3:
            raise RuntimeError(f"{module.name}: expected the three parts of protoc's runtime check, found {found}.")
        module.write_text(text)


def protobuf_version(module: Path) -> str:
    """The protobuf version whose protoc wrote ``module`` (``7.35.1``)."""
    found = re.search(r"^# Protobuf Python Version: (\S+)$", module.read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


if __name__ == "__main__":
    generate(SOURCES)
    print(f"Wrote {SOURCES / WIRE}/*_pb2.py", file=sys.stderr)
