"""``unstuck record-golden``: keeps what a model answers now, while it is known to be right, beside the model."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from unstuck.acceptance.golden import are_alike, rows_of, takes_batches, wrong_rows
from unstuck.acceptance.lookup import Only
from unstuck.cli.on_disk import find
from unstuck.codecs import golden_json
from unstuck.codecs.golden_json import Golden
from unstuck.config import serve_flags
from unstuck.config.flag_values import read_path, read_positive
from unstuck.config.flags import HELP, Flag, FlagError, Flags, parse
from unstuck.core.signatures import DEFAULT_SIGNATURE, Signature, Tensor, Tensors
from unstuck.doctor.given import Request, read_requests
from unstuck.doctor.lab import rows_of as rows_of_call
from unstuck.doctor.lab import spread
from unstuck.engines.preparing import loader
from unstuck.errors import SetupError, UnknownSignature
from unstuck.inference.predict import Bound, prepare
from unstuck.lifecycle.harness import AvailableVersion

USAGE = """\
Usage: unstuck record-golden PATH --requests=FILE [--rows=N] [--signature=NAME] [--output=FILE] [--force]

Asks the model at PATH (a version's folder, one with numbered versions, or an .onnx file) and keeps its answers as
golden rows, which each later load of that version must give again (unstuck serve --golden_rows). Do it where you know
the answers to be right: just after the export, with rows whose answers you have compared with training's.

  --requests=FILE     predict bodies, one a line ({"instances": [...]} or {"inputs": {...}}), or a request log
  --rows=N            at most so many rows, spread over the file (32)
  --signature=NAME    the signature to ask (serving_default)
  --output=FILE       where to write, instead of the version's assets.extra/unstuck/golden.jsonl
  --pipeline_file=FILE   how raw inputs become the model's, where that is not in its folder
  --allow_unsafe_ops  load a model that reads or writes files or runs Python
  --force             overwrite, and keep rows that all have the same answer"""

REQUESTS = Flag("requests", read_path, None, "FILE", "what clients send")
ROWS = Flag("rows", read_positive, 32, "N", "rows at most")
SIGNATURE = Flag("signature", str, DEFAULT_SIGNATURE, "NAME", "the signature to ask")
OUTPUT = Flag("output", read_path, None, "FILE", "where to write")
PIPELINE = Flag("pipeline_file", read_path, None, "FILE", "the pipeline")
FORCE = Flag("force", lambda text: text == "true", False, "", "overwrite", boolean=True)
FLAGS = (REQUESTS, ROWS, SIGNATURE, OUTPUT, PIPELINE, FORCE, serve_flags.TAGS, serve_flags.UNSAFE_OPS, HELP)


def run(arguments: Sequence[str]) -> int:
    """Records; returns the exit status.

    Raises:
        UnstuckError: the arguments, the requests or the model's answers are of no use.
    """
    given = parse(arguments, cast("Any", FLAGS))
    if given.get(HELP):
        print(USAGE)
        return 0
    requests = given.get(REQUESTS)
    if len(given.positional) != 1 or requests is None:
        raise FlagError("Expected one PATH and --requests=FILE.", hint="See unstuck record-golden --help.")
    trusts_all, pipeline_file = given.get(serve_flags.UNSAFE_OPS), given.get(PIPELINE)
    found = find(given.positional[0], given.get(serve_flags.TAGS), allow_unsafe_ops=trusts_all)
    folder = found.version.path if found.version.path.is_dir() else found.version.path.parent
    target = given.get(OUTPUT) or folder / golden_json.PLACE
    if given.get(OUTPUT) is None:
        found.check_writable("--output=FILE")
    if target.exists() and not given.get(FORCE):
        raise SetupError(f"{target} is there already.", hint="--force overwrites it.")
    may_call_python = trusts_all or pipeline_file is not None
    loading = loader(found.engine, found.version.path, pipeline_file, may_call_python=may_call_python)
    model = AvailableVersion(found.name, found.version.version, loading.load())
    try:
        content = _recorded(model, requests, given, target)
    finally:
        loading.unload()
    _write(target, content)
    print(f"Wrote {target}: {len(content.splitlines())} golden rows.")
    return 0


def _recorded(model: AvailableVersion, requests: Path, given: Flags, target: Path) -> bytes:
    name = given.get(SIGNATURE)
    signature = model.servable.signatures.get(name)
    if signature is None:
        raise UnknownSignature(model.name, name, model.servable.signatures)
    calls = _fitting(read_requests(requests, model.servable.signatures, name), name, requests)
    rows = [row for each in calls for row in (rows_of_call(each) if takes_batches(signature) else [each])]
    golden = list(_finite(_answered(model, signature, row) for row in spread(rows, given.get(ROWS))))
    _check_variety(golden, given)
    content = b"".join(golden_json.encode(each, name) + b"\n" for each in golden)
    file = golden_json.parse(content, target)
    if wrong := wrong_rows(model, rows_of(model, file, target), file):
        raise SetupError(
            f"Asked again, {len(wrong)} of {len(golden)} rows get another answer, so none is kept. {wrong[0]}",
            hint="The model is random, keeps state, or mixes the rows of a batch: unstuck diagnose says which.",
        )
    return content


def _fitting(requests: Sequence[Request], name: str, path: Path) -> list[Tensors]:
    meant = [each for each in requests if each.signature == name]
    fits = [each.inputs for each in meant if each.error is None and each.inputs]
    faults = [f"line {each.line}: {each.error}" for each in meant if each.error is not None]
    if faults:
        _warn(f"{len(faults)} of {len(requests)} requests do not fit and are left out; {faults[0]}")
    if not fits:
        raise SetupError(f"{path} has no request that fits signature {name!r}.", hint="; ".join(faults[:1]))
    return fits


def _answered(model: AvailableVersion, signature: Signature, inputs: Tensors) -> Golden:
    call = prepare(Only(model), Only(model).spec, Bound(signature.name, dict(inputs)))
    return Golden(inputs, call.run(lambda outputs: outputs))


def _finite(rows: Iterable[Golden]) -> Iterable[Golden]:
    """Those whose answers are numbers; others are no answers to keep."""
    broken = 0
    for row in rows:
        if all(map(_is_finite, row.outputs.values())):
            yield row
        else:
            broken += 1
    if broken:
        _warn(f"{broken} rows are answered with NaN or Infinity, and not kept. unstuck diagnose finds out why.")


def _is_finite(array: Tensor) -> bool:
    return array.dtype == object or bool(np.isfinite(cast("Any", array).astype(np.complex128)).all())


def _check_variety(golden: Sequence[Golden], given: Flags) -> None:
    """A constant answer is what golden rows are to catch, so it is kept only where somebody insists."""
    if not golden:
        raise SetupError("No row has an answer to keep: all are NaN or Infinity.", hint="See unstuck diagnose.")
    if len(golden) == 1:
        _warn("There is only one row: a model that gives its answer to everything will pass.")
    elif are_alike([row.outputs for row in golden]):
        inputs = "the requests are all alike" if are_alike([row.inputs for row in golden]) else "the requests differ"
        said = f"All {len(golden)} rows have the same answer, and {inputs}: a stuck model gives just these rows."
        if not given.get(FORCE):
            hint = "Send others, or find out why: unstuck diagnose --model PATH --requests FILE. --force keeps them."
            raise SetupError(said, hint=hint)
        _warn(said)


def _write(target: Path, content: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        beside.write_bytes(content)
        beside.replace(target)
    except OSError as error:
        raise SetupError(f"{target} cannot be written: {error.strerror or error}.") from None


def _warn(text: str) -> None:
    print(f"unstuck record-golden: {text}", file=sys.stderr)
