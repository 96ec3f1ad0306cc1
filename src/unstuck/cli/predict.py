"""``unstuck predict``: a person's way to try a model, served or on disk."""

import csv
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from unstuck.cli.api_key import API_KEY_FILE, api_key
from unstuck.cli.endpoint import Endpoint, is_served
from unstuck.cli.on_disk import find
from unstuck.client.clients import Client
from unstuck.client.inputs import bind
from unstuck.config import flags, serve_flags
from unstuck.config.flag_values import read_bool
from unstuck.config.flags import Flag, FlagError, Flags
from unstuck.core.signatures import DEFAULT_SIGNATURE, Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import InputNames, SetupError, UnknownSignature, WrongType, did_you_mean, nearest

USAGE = """\
Usage: unstuck predict URL|PATH [--signature=NAME] --input NAME=VALUE … | --csv=FILE [--json]

URL is a served model's: http://HOST:8501/v1/models/NAME, of this server or of TensorFlow Serving. PATH is a model on
disk, which is loaded here. Each --input is a value of one row; given again, it begins the next row.

  --input age=1.5              a number, or a JSON list for an input whose rows are lists
  --input text=hello           text, as it is, for an input of strings
  --input text=@file.txt       a file's content for an input of strings; an .npy file or an image for one of numbers
  --csv=rows.csv               one row a line; the header names the inputs

  --api_key_file=FILE          holds the server's API key, if it wants one (else $UNSTUCK_API_KEY)
  --allow_unsafe_ops           load a model that reads or writes files or runs Python"""

HELP_HINT = "unstuck predict --help says more."
MAX_SHOWN = 60
SIGNATURE = Flag("signature", str, DEFAULT_SIGNATURE, "NAME", "the signature to call")
INPUT = Flag("input", str, "", "NAME=VALUE", "a value of one row", repeatable=True)
CSV = Flag("csv", str, "", "FILE", "rows of a CSV file")
JSON = Flag("json", read_bool, False, "", "print the outputs as JSON", boolean=True)
FLAGS = cast(
    "tuple[Flag[object], ...]",
    (SIGNATURE, INPUT, CSV, JSON, API_KEY_FILE, serve_flags.TAGS, serve_flags.UNSAFE_OPS, flags.HELP),
)

Call = Callable[[dict[str, object]], Tensors]


def run(arguments: Sequence[str]) -> int:
    """Prints the predictions; returns the exit status.

    Raises:
        UnstuckError: arguments, values or a model that do not fit, or what the server says.
    """
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    if len(given.positional) != 1:
        raise FlagError(f"Expected one URL or path, got {len(given.positional)}.", hint=HELP_HINT)
    if bool(given.all(INPUT)) == bool(given.get(CSV)):
        raise FlagError("Expected values: --input NAME=VALUE, or --csv=FILE.", hint=HELP_HINT)
    (where,) = given.positional
    name, file = given.get(SIGNATURE), given.get(CSV)
    with ExitStack() as stack:
        served = is_served(where)
        signature, call = _served(stack, where, name, api_key(given)) if served else _on_disk(where, name, given)
        rows = _from_csv(Path(file), signature) if file else _from_inputs(given.all(INPUT), signature)
        outputs = call({alias: _batched(values, signature.inputs[alias]) for alias, values in rows.items()})
        if given.get(JSON):
            print(orjson.dumps({alias: _plain(array) for alias, array in outputs.items()}).decode())
        else:
            _print_table(rows, outputs)
    return 0


def _served(stack: ExitStack, url: str, name: str, key: str) -> tuple[Signature, Call]:
    endpoint = Endpoint(url)
    version, label = None, None
    rest = endpoint.url.removeprefix(endpoint.server).split("/")[4:]
    if rest[:1] == ["versions"]:
        version = int(rest[1])
    elif rest[:1] == ["labels"]:
        label = rest[1]
    client = Client(endpoint.server, endpoint.model, version=version, label=label, api_key=key)
    stack.enter_context(client)
    signatures = client.signatures()
    if name not in signatures:
        raise UnknownSignature(endpoint.model, name, signatures)

    def call(values: dict[str, object]) -> Tensors:
        predicted = client.signature(name).predict(values)
        for warning in predicted.warnings:
            print(f"Warning: {warning}", file=sys.stderr)
        return predicted

    return signatures[name], call


def _on_disk(where: str, name: str, given: Flags) -> tuple[Signature, Call]:
    found = find(where, given.get(serve_flags.TAGS), allow_unsafe_ops=given.get(serve_flags.UNSAFE_OPS))
    servable = found.engine.loader(found.version.path).load()
    signature = servable.signatures.get(name)
    if signature is None:
        raise UnknownSignature(found.name, name, servable.signatures)
    return signature, lambda values: servable.run(signature, bind(signature, values, {}))


def _from_inputs(arguments: Sequence[str], signature: Signature) -> dict[str, list[object]]:
    rows: dict[str, list[object]] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise FlagError(f"--input {argument!r} is not NAME=VALUE.")
        spec = _spec(signature, name)
        rows.setdefault(name, []).append(_of_file(text[1:], spec) if text[:1] == "@" else _of_text(text, spec, name))
    counts = {name: len(values) for name, values in rows.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise FlagError(f"The inputs have different numbers of rows: {listed}.", hint="Give each input once a row.")
    return rows


def _from_csv(path: Path, signature: Signature) -> dict[str, list[object]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SetupError(f"--csv={path} cannot be read: {error}.") from None
    if not lines:
        raise SetupError(f"--csv={path} has no rows; expected a header and one line a row.")
    rows: dict[str, list[object]] = {}
    for number, line in enumerate(lines, start=2):
        for name, text in line.items():
            if text is None or name is None:
                raise SetupError(f"--csv={path}, line {number}: it has not as many values as the header.")
            where = f"{path}, line {number}, column {name!r}"
            rows.setdefault(name, []).append(_of_text(text, _spec(signature, name), where))
    return rows


def _spec(signature: Signature, name: str) -> TensorSpec:
    spec = signature.inputs.get(name)
    if spec is None:
        listed = ", ".join(f"{alias!r} ({each})" for alias, each in signature.inputs.items())
        raise InputNames(
            f"Signature {signature.name!r} has no input {name!r}; it takes {listed}.",
            hint=did_you_mean(name, signature.inputs) if nearest(name, signature.inputs) else "",
        )
    return spec


def _of_text(text: str, spec: TensorSpec, where: str) -> object:
    if spec.dtype.is_string and not text.startswith("["):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        special = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}.get(text.strip().lower())
        if special is not None:
            return special
        raise WrongType(f"{where}: expected {spec} as a number or a JSON list, got {text!r}.") from None


def _of_file(name: str, spec: TensorSpec) -> object:
    path = Path(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SetupError(f"--input {spec.alias}=@{name} cannot be read: {error}.") from None
    if spec.dtype.is_string:
        return content
    if path.suffix == ".npy":
        return cast("Tensor", np.load(BytesIO(content), allow_pickle=False))
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError:
        raise SetupError("Images are read by Pillow, which is not installed.", hint="Run: pip install pillow") from None
    try:
        image = Image.open(BytesIO(content))
        return np.asarray(image.convert("RGB" if spec.shape and spec.shape[-1] == 3 else image.mode))
    except UnidentifiedImageError:
        raise WrongType(
            f"--input {spec.alias}=@{name}: the input takes {spec}, and the file is neither .npy nor an image.",
        ) from None


def _batched(values: list[Any], spec: TensorSpec) -> object:
    """The rows as one value: a batch where the input takes one, else the only row itself."""
    if spec.shape is not None and spec.shape[:1] != (None,):
        if len(values) > 1:
            raise InputNames(f"Input {spec.alias!r} ({spec}) takes no batch, so one row, got {len(values)}.")
        return values[0]
    if spec.shape is not None and spec.shape[1:] == (1,):
        return [[value] if np.ndim(value) == 0 else value for value in values]
    return np.stack(values) if isinstance(values[0], np.ndarray) else values


def _print_table(rows: dict[str, list[object]], outputs: Tensors) -> None:
    count = len(next(iter(rows.values())))
    by_row = all(array.ndim and len(array) == count for array in outputs.values())
    table = Table(show_edge=False)
    for name in (*rows, *outputs):
        table.add_column(name, overflow="fold", style="" if name in outputs else "dim")
    for number in range(count if by_row else 1):
        sent = [_shown(values[number]) for values in rows.values()]
        table.add_row(*sent, *(_shown(_plain(array[number] if by_row else array)) for array in outputs.values()))
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"array {list(value.shape)}"
    text = repr(value) if isinstance(value, str | bytes) else _numbers(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_numbers, cast("list[Any]", value))) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
