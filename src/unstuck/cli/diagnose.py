"""``unstuck diagnose``: why a served model gives the same, or a wrong, prediction whatever it is sent."""

import re
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import orjson
from rich.console import Console

from unstuck import engines
from unstuck.cli import output
from unstuck.cli.api_key import API_KEY_FILE, api_key
from unstuck.cli.on_disk import newest
from unstuck.codecs import golden_json
from unstuck.config import flags
from unstuck.config.flag_values import read_bool, read_seconds
from unstuck.config.flags import Flag, FlagError, Flags
from unstuck.config.serve_flags import TAGS, UNSAFE_OPS
from unstuck.core.locations import RemotePath, location
from unstuck.core.models import ModelSpec
from unstuck.doctor import run as doctor
from unstuck.doctor.endpoint import Endpoint
from unstuck.doctor.evidence.base import Found
from unstuck.doctor.findings import Report
from unstuck.doctor.fixes import pipeline_of
from unstuck.doctor.lab import Question
from unstuck.doctor.report import as_html, as_json, as_text
from unstuck.errors import SetupError, UnstuckError
from unstuck.lifecycle.source import version_folder, versions_in

USAGE = """\
Usage: unstuck diagnose [TARGET] [--model PATH] [FLAGS]

Finds out why a served model gives the same (or a wrong) prediction whatever it is sent: names the cause, shows the
evidence, the place and the fix, and says what it could not test. Give TARGET, --model, or both; the more, the sharper.

TARGET is a served model, of any server of TensorFlow Serving's protocol:
  http(s)://HOST:PORT/v1/models/NAME[/versions/N|/labels/L]   or   grpc(s)://HOST:PORT/NAME[/versions/N]

What to look at
  --model PATH            the SavedModel (a version's folder, or the base path of versions) or .onnx file
  --requests FILE         what clients send: one REST predict body a line
  --training-data FILE    inputs as in training: .npz, .jsonl, .csv, .parquet, .tfrecord
  --golden FILE           known right answers: {"inputs": {NAME: rows}, "outputs": {NAME: rows}} a line;
                          by default, those in the model's folder (unstuck record-golden)
  --signature NAME        the signature in question (the default one)
  --server-log FILE       log of tensorflow_model_server or unstuck serve
  --cgroup DIR            the cgroup folder of the server's container
  --pipeline_file FILE    the pipeline in front of --model
  --saved_model_tags TAGS tags of the graph to load (serve)
  --allow_unsafe_ops      load a --model that reads or writes files or runs Python
  --api_key_file FILE     holds the key for TARGET's server (else $UNSTUCK_API_KEY)

How
  --timeout SECONDS       for everything (120)
  --load                  allow load on a TARGET that is not on this machine

What comes out
  --format text|json|html the report's form (text)
  --output FILE           write the report there
  --apply-pipeline FILE   where the fix is a pipeline, write it there; --force: even over a file that is there
  --save-evidence FILE    keep what was measured
  --evidence FILE         decide again from what was measured, without TARGET and --model

Exit status: 0 healthy, 1 a fault was found, 2 could not run. unstuck explain lists the causes."""

HELP_HINT = "unstuck diagnose --help says more."
INTERRUPTED = 130
TEXT_WIDTH = 100
Format = Literal["text", "json", "html"]


def _format(text: str) -> Format:
    if text not in ("text", "json", "html"):
        raise ValueError("expected text, json or html")
    return text


def _path(text: str) -> Path:
    if not text:
        raise ValueError("expected a path")
    return Path(text).absolute()


def _model(text: str) -> Path | RemotePath:
    return location(text) if text else _path(text)


def _file(name: str, text: str) -> Flag[Path | None]:
    return Flag(name, _path, None, "FILE", text)


def _switch(name: str, text: str) -> Flag[bool]:
    return Flag(name, read_bool, False, "", text, boolean=True)


MODEL: Flag[Path | RemotePath | None] = Flag("model", _model, None, "PATH", "the model that is, or should be, served")
REQUESTS = _file("requests", "what clients send")
TRAINING = _file("training-data", "inputs as in training")
GOLDEN = _file("golden", "inputs with the answers known right")
SIGNATURE = Flag("signature", str, "", "NAME", "the signature in question")
SERVER_LOG = _file("server-log", "the server's log")
CGROUP: Flag[Path | None] = Flag("cgroup", _path, None, "DIR", "the cgroup folder of the server's container")
PIPELINE = _file("pipeline_file", "the pipeline in front of the local model")
TIMEOUT = Flag("timeout", read_seconds, 120.0, "SECONDS", "for everything")
LOAD = _switch("load", "allow load on a target that is not on this machine")
FORMAT: Flag[Format] = Flag("format", _format, "text", "text|json|html", "the report's form")
OUTPUT = _file("output", "where to write the report")
APPLY = _file("apply-pipeline", "where to write the pipeline that is the fix")
FORCE = _switch("force", "overwrite the pipeline")
SAVE = _file("save-evidence", "where to keep what was measured")
EVIDENCE = _file("evidence", "decide from what was measured")

ASKED = (
    MODEL,
    REQUESTS,
    TRAINING,
    GOLDEN,
    SIGNATURE,
    SERVER_LOG,
    CGROUP,
    PIPELINE,
    TAGS,
    UNSAFE_OPS,
    API_KEY_FILE,
    TIMEOUT,
    LOAD,
    SAVE,
)
FLAGS = cast("tuple[Flag[object], ...]", (*ASKED, FORMAT, OUTPUT, APPLY, FORCE, EVIDENCE, flags.HELP))


def run(arguments: Sequence[str]) -> int:
    """Diagnoses and reports; returns the exit status: 0 healthy, 1 a fault, 2 could not run."""
    try:
        return _run(arguments)
    except UnstuckError as error:
        print(f"unstuck diagnose: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001 - Python would end with 1, which says that a fault was found
        traceback.print_exc()
        return 2


def _run(arguments: Sequence[str]) -> int:
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    _check_places(given)
    found = _evidence(given)
    report = doctor.decide(found)
    _write(given.get(OUTPUT), _rendered(given, report, found))
    _apply(given, report)
    if all(finding.status == "not-tested" for finding in report.findings):
        whys = dict.fromkeys(finding.why for finding in report.findings)
        raise SetupError(f"Nothing could be tested: {'; '.join(whys)}.")
    return 0 if report.healthy else 1


def _rendered(given: Flags, report: Report, found: Found) -> str:
    if given.get(FORMAT) == "json":
        return as_json(report)
    if given.get(FORMAT) == "html":
        return as_html(report, found)
    terminal = Console()
    if given.get(OUTPUT) is not None or not terminal.is_terminal:
        return as_text(report, found)
    return as_text(report, found, width=min(terminal.width, TEXT_WIDTH), colour=not terminal.no_color)


def _apply(given: Flags, report: Report) -> None:
    """Writes the pipeline that is the verdict's fix, or says why there is none."""
    path = given.get(APPLY)
    if path is None:
        return
    text = pipeline_of(report)
    if not text:
        why = f"the fix of {report.verdict.cause} is not one" if report.verdict else "no fault was found"
        print(f"--apply-pipeline: no pipeline was written, as {why}.", file=sys.stderr)
        return
    try:
        with path.open("w" if given.get(FORCE) else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SetupError(f"--apply-pipeline={path} cannot be written: {error.strerror or error}.") from None
    print(f"The pipeline is in {path}: unstuck serve … --pipeline_file={path}", file=sys.stderr)


def _check_places(given: Flags) -> None:
    """Before minutes of work: can what comes out be written?"""
    for flag in (OUTPUT, APPLY, SAVE):
        path = given.get(flag)
        if path is not None and not path.parent.is_dir():
            raise SetupError(f"--{flag.name}={path}: there is no folder {path.parent}.")
    pipeline = given.get(APPLY)
    if pipeline is not None and pipeline.exists() and not given.get(FORCE):
        raise SetupError(f"--apply-pipeline={pipeline} is there already.", hint="Name another, or add --force.")


def _evidence(given: Flags) -> Found:
    saved = given.get(EVIDENCE)
    if saved is not None:
        others = [f"--{flag.name}" for flag in ASKED if given.has(cast("Flag[object]", flag))]
        if given.positional or others:
            raise FlagError(
                "--evidence decides from the file alone.", hint=f"Leave out {', '.join([*given.positional, *others])}."
            )
        return doctor.read(saved)
    with _progress() as progress:
        found = doctor.collect(question(given), progress)
    if (path := given.get(SAVE)) is not None:
        doctor.save(found, path)
    return found


@contextmanager
def _progress() -> Generator[Callable[[str], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda kind: None
        return
    with console.status("Diagnosing …") as status:
        yield lambda kind: status.update(f"Diagnosing: {re.sub('(?<=[a-z])(?=[A-Z])', ' ', kind).lower()} …")


def _write(path: Path | None, text: str) -> None:
    if path is None:
        output.write(text)
        return
    try:
        path.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise SetupError(f"--output={path} cannot be written: {error.strerror or error}.") from None
    print(f"The report is in {path}.", file=sys.stderr)


def question(given: Flags) -> Question:
    """What is asked, every path checked.

    Raises:
        UnstuckError: neither TARGET nor --model, or one that does not name what it should.
    """
    if len(given.positional) > 1:
        raise FlagError(f"Expected one TARGET, got {', '.join(given.positional)}.", hint=HELP_HINT)
    target = given.positional[0] if given.positional else ""
    if not target and given.get(MODEL) is None:
        raise FlagError("Expected a TARGET, --model, or both.", hint=HELP_HINT)
    for flag in (REQUESTS, TRAINING, GOLDEN, SERVER_LOG, PIPELINE):
        path = given.get(flag)
        if path is not None and not path.is_file():
            raise SetupError(f"--{flag.name}={path} {'is not a file' if path.exists() else 'does not exist'}.")
    cgroup = given.get(CGROUP)
    if cgroup is not None and not cgroup.is_dir():
        raise SetupError(f"--cgroup={cgroup} is not a folder.")
    for flag in (REQUESTS, GOLDEN):
        _check_lines(flag, given.get(flag))
    key = api_key(given)
    endpoint = Endpoint(target, key) if target else None
    try:
        versions = _versions(given.get(MODEL))
        model = _chosen(versions, endpoint) if versions else None
    finally:
        if endpoint is not None:
            endpoint.close()
    return Question(
        target=target,
        model=model,
        versions=versions,
        requests=given.get(REQUESTS),
        training_data=given.get(TRAINING),
        golden=given.get(GOLDEN) or _golden_beside(model),
        server_log=given.get(SERVER_LOG),
        cgroup=cgroup,
        signature=given.get(SIGNATURE),
        timeout_s=given.get(TIMEOUT),
        load=given.get(LOAD),
        pipeline_file=given.get(PIPELINE),
        tags=given.get(TAGS),
        api_key=key,
        allow_unsafe_ops=given.get(UNSAFE_OPS),
    )


def _golden_beside(model: Path | None) -> Path | None:
    """The golden rows that travel with the model, if any do."""
    if model is None:
        return None
    file = (model if model.is_dir() else model.parent) / golden_json.PLACE
    return file if file.is_file() else None


def _check_lines(flag: Flag[Path | None], path: Path | None) -> None:
    """A file of text must be JSON Lines; one of bytes is a TFRecord, for its reader to judge."""
    if path is None:
        return
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SetupError(f"--{flag.name}={path} cannot be read: {error.strerror or error}.") from None
    if b"\0" in b"\n".join(lines[:2]):  # a record's length may begin with the byte of a line's end
        return
    for number, line in enumerate(lines, 1):
        try:
            if line.strip() and not isinstance(orjson.loads(line), dict):
                raise SetupError(f"--{flag.name}={path}, line {number}: expected a JSON object.")
        except ValueError as error:
            raise SetupError(f"--{flag.name}={path}, line {number}: it is not JSON: {error}.") from None
    if not any(map(bytes.strip, lines)):
        raise SetupError(f"--{flag.name}={path} is empty.")


def _versions(path: Path | RemotePath | None) -> dict[int, Path]:
    if path is None:
        return {}
    if isinstance(path, RemotePath):
        path = newest(path, engines.installed()).path  # only that is copied
    if not path.exists():
        raise SetupError(f"--model={path} does not exist.")
    known = engines.installed()
    if any(engine.recognises(path) for engine in known):
        version = version_folder(path)
        return {version.version: version.path}
    if path.is_file():
        raise SetupError(f"--model={path} is neither a SavedModel's folder nor an .onnx file.")
    versions = {each.version: each.path for each in versions_in(path)}
    if not any(engine.recognises(versions[max(versions)]) for engine in known):
        raise SetupError(
            f"--model={path}: version {max(versions)} holds no model: no saved_model.pb, and no .onnx file."
        )
    return versions


def _chosen(versions: dict[int, Path], endpoint: Endpoint | None) -> Path:
    """The version that TARGET's URL asks for, else the newest."""
    asked = _asked(endpoint) if endpoint is not None and len(versions) > 1 else None
    if asked is not None and asked not in versions:
        listed = ", ".join(map(str, sorted(versions)))
        raise SetupError(f"TARGET asks for version {asked}; --model has the versions {listed}.")
    return versions[max(versions) if asked is None else asked]


def _asked(endpoint: Endpoint) -> int | None:
    spec: ModelSpec = endpoint.spec
    if spec.label is None:
        return spec.version
    try:
        states = endpoint.status()  # of the label's version alone
    except UnstuckError:
        return None  # an endpoint that does not answer is for the experiments to find
    return states[0].version if len(states) == 1 else None
