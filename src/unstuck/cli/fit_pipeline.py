"""``unstuck fit-pipeline``: learns a model's preparation, and what its inputs were like, from its training data."""

import shlex
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from unstuck.cli.on_disk import Found, find
from unstuck.config import flags, serve_flags
from unstuck.config.flag_values import read_bool
from unstuck.config.flags import Flag, FlagError, Flags
from unstuck.core.signatures import DEFAULT_SIGNATURE, Signature
from unstuck.data import open_data
from unstuck.data.fit import Normalise, Wanted, check_said, fit, refuse_to_overwrite, save
from unstuck.data.matching import match
from unstuck.errors import UnknownSignature
from unstuck.pipeline import PLACE, PROFILE

USAGE = """\
Usage: unstuck fit-pipeline MODEL --training-data=FILE [--normalise=z_score|min_max|none] [--text=keras]
                            [--map INPUT=COLUMN,… …] [FLAGS]

Learns vocabularies, means and ranges from raw training data, and writes the pipeline and the training profile into
MODEL's assets.extra/unstuck/. FILE is .csv, .jsonl or .tfrecord (each also with .gz), .npz or .parquet, of any size.
A column makes the input of its name; what is not plain is asked for.

  --training-data=FILE         the rows as clients will send them, before any preparation
  --normalise=KIND             what training did to numbers: z_score ((x - mean) / std), min_max (to 0 to 1), none
  --text=keras                 training made ids of text by Keras: TextVectorization for words, StringLookup for values
  --vocabulary-size=N          at most so many ids, those for padding and unknown text included (Keras's max_tokens)
  --map INPUT=COLUMN,…         the columns that make an input, in training's order; once for each input
  --features=COLUMN,…          the same, for a model of one input
  --signature=NAME             the signature to prepare (serving_default)
  --out=FOLDER                 where to write, instead of the model's folder
  --force                      overwrite files that are there"""

HELP_HINT = "unstuck fit-pipeline --help says more."


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if "" in names:
        raise ValueError("expected names, separated by commas")
    return names


def _input_and_names(text: str) -> tuple[str, tuple[str, ...]]:
    alias, equals, names = text.partition("=")
    if not equals or not alias:
        raise ValueError("expected INPUT=COLUMN,COLUMN…")
    return alias, _names(names)


def _normalise(text: str) -> Normalise:
    if text not in ("z_score", "min_max", "none"):
        raise ValueError("expected z_score, min_max or none")
    return text


def _keras(text: str) -> bool:
    if text != "keras":
        raise ValueError("expected keras; other ways are declared by hand (docs/pipeline.md)")
    return True


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 3:
        raise ValueError("expected a number above 2: padding and unknown text have ids too")
    return int(text)


DATA = Flag("training-data", str, "", "FILE", "raw training data")
NORMALISE: Flag[Normalise | None] = Flag("normalise", _normalise, None, "KIND", "what training did to numbers")
TEXT = Flag("text", _keras, False, "keras", "how training made ids of text")
SIZE: Flag[int | None] = Flag("vocabulary-size", _size, None, "N", "ids at most")
MAP = Flag("map", _input_and_names, ("", ()), "INPUT=COLUMN,…", "the columns that make an input", repeatable=True)
FEATURES = Flag("features", _names, (), "COLUMN,…", "the columns that make the only input")
SIGNATURE = Flag("signature", str, DEFAULT_SIGNATURE, "NAME", "the signature to prepare")
OUT = Flag("out", str, "", "FOLDER", "where to write")
FORCE = Flag("force", read_bool, False, "", "overwrite files that are there", boolean=True)
FLAGS = cast(
    "tuple[Flag[object], ...]",
    (DATA, NORMALISE, TEXT, SIZE, MAP, FEATURES, SIGNATURE, OUT, FORCE, serve_flags.TAGS, flags.HELP),
)


def run(arguments: Sequence[str]) -> int:
    """Learns and writes; returns the exit status.

    Raises:
        UnstuckError: arguments, the model or the data do not fit.
    """
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    if len(given.positional) != 1 or not given.get(DATA):
        raise FlagError("Expected one MODEL and --training-data=FILE.", hint=HELP_HINT)
    found = find(given.positional[0], given.get(serve_flags.TAGS))
    folder = _folder(found, given.get(OUT))
    refuse_to_overwrite(folder, (PLACE.name, PROFILE.name), force=given.get(FORCE))
    signatures = found.engine.inspect(found.version.path).signatures
    signature = signatures.get(given.get(SIGNATURE))
    if signature is None:
        raise UnknownSignature(found.name, given.get(SIGNATURE), signatures)
    named = _named(given, signature)
    texts = [
        name for alias, spec in signature.inputs.items() if spec.dtype.is_string for name in named.get(alias, (alias,))
    ]
    wanted = Wanted(
        given.get(NORMALISE), given.get(TEXT), given.get(SIZE), shlex.join(["unstuck", "fit-pipeline", *arguments])
    )
    with _progress() as step:
        data = open_data(given.get(DATA), text=texts, progress=step("Looking at the columns"))
        made = match(signature, data.columns, named)
        check_said(made, wanted)
        fitted = fit(data, signature, made, wanted, step("Learning"))
    save(fitted, folder, signatures, force=given.get(FORCE))
    print(f"Learnt from {fitted.rows:,} rows of {given.get(DATA)}:")
    for note in fitted.notes:
        print(f"  {note}")
    print(f"Wrote {', '.join(sorted(fitted.files))} to {folder}")
    return 0


def _folder(found: Found, out: str) -> Path:
    if out:
        return Path(out).absolute()
    found.check_writable("--out=FOLDER")
    if found.version.path.is_file():
        raise FlagError(f"{found.version.path} is a file, which has no folder of its own.", hint="Give --out=FOLDER.")
    return found.version.path / PLACE.parent


def _named(given: Flags, signature: Signature) -> dict[str, tuple[str, ...]]:
    named = dict(given.all(MAP))
    if len(named) < len(given.all(MAP)):
        raise FlagError("--map is given twice for one input.")
    if features := given.get(FEATURES):
        if len(signature.inputs) != 1 or named:
            inputs = ", ".join(map(repr, signature.inputs))
            raise FlagError(
                f"--features is for a model of one input; signature {signature.name!r} takes {inputs}.",
                hint="Name the input: --map INPUT=COLUMN,…",
            )
        named = dict.fromkeys(signature.inputs, features)
    return named


@contextmanager
def _progress() -> Generator[Callable[[str], Callable[[int, int], None]]]:
    """Bars on standard error, where that is a terminal: ``step(description)`` begins one."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:

        def step(description: str) -> Callable[[int, int], None]:
            task = bars.add_task(description, total=None)
            return lambda read, of: bars.update(task, completed=read, total=of)

        yield step
