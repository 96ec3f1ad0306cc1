"""``unstuck make-key``: a fresh API key, shown once, and its entry in the server's file of keys."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from unstuck.config import flags
from unstuck.config.flag_values import read_path
from unstuck.config.flags import Flag, FlagError
from unstuck.errors import SetupError
from unstuck.guard.access import RIGHTS
from unstuck.guard.api_keys import entry_text, new_key, parse

USAGE = """\
Usage: unstuck make-key NAME [--models=NAME,…] [--methods=METHOD,…] [--expires=DATE] [--file=FILE]

Prints a fresh random API key, once: nothing keeps it but whoever it is for. The entry with its hash, for the file of
unstuck serve --api_keys_file=FILE, is added to --file, or else printed to the standard error.

  --models=a,b*       the models that it is for; * and ? stand for anything (*)
  --methods=…         predict, status, admin (predict,status: our client asks for a model's signatures first)
  --expires=DATE      the last day on which it is taken, 2027-01-31, or a time, 2027-01-31T12:00:00Z
  --file=FILE         the file of keys; a new one can be read by its owner alone. A running server reads it at once"""

MODELS = Flag("models", str, "*", "NAME,…", "the models that it is for")
METHODS = Flag("methods", str, "predict,status", "METHOD,…", f"some of {', '.join(RIGHTS)}")
EXPIRES = Flag("expires", str, "", "DATE", "until when it is taken")
FILE = Flag("file", read_path, None, "FILE", "the file of keys")
FLAGS = cast("tuple[Flag[object], ...]", (MODELS, METHODS, EXPIRES, FILE, flags.HELP))


def run(arguments: Sequence[str]) -> int:
    """Prints the key; returns the exit status. Raises SetupError: wrong flags, or a file that cannot be added to."""
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    if len(given.positional) != 1:
        raise FlagError(f"Expected one NAME, got {len(given.positional)}.", hint="unstuck make-key --help says more.")
    key = new_key()
    models, methods = _listed(given.get(MODELS)), _listed(given.get(METHODS))
    entry = entry_text(given.positional[0], key, models, methods, given.get(EXPIRES))
    parse(entry.encode(), "The key")
    file: Path | None = given.get(FILE)
    if file is None:
        print(f"Add to the file of --api_keys_file:\n\n{entry}", file=sys.stderr)
    else:
        _add(entry, file)
        print(f"Added to {file}. The key, which is not kept anywhere:", file=sys.stderr)
    print(key)
    return 0


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _add(entry: str, file: Path) -> None:
    """Replaces the file at once, as servers may be reading it. Raises SetupError where it would not be right then."""
    try:
        target = file.resolve()
        before = target.read_text() if target.exists() else ""
        after = before + ("\n" if before and not before.endswith("\n") else "") + entry
        parse(after.encode(), str(file))
        descriptor, written = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # its owner's alone
        with os.fdopen(descriptor, "w") as out:
            out.write(after)
        if target.exists():
            os.chmod(written, target.stat().st_mode)
        os.replace(written, target)
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--file={file} cannot be added to: {error}.") from None
