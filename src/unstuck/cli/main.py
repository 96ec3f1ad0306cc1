"""The ``unstuck`` command, and ``tensorflow_model_server``: ``unstuck serve`` under the name that Dockerfiles use."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from unstuck import __version__
from unstuck.errors import UnstuckError, did_you_mean

USAGE = """\
Usage: unstuck COMMAND [ARGUMENTS]

Commands:
  serve PATH…           serve models over TensorFlow Serving's APIs
  inspect PATH|URL      a model's signatures, tables, ops, and how to call it
  predict PATH|URL      try a model: --input NAME=VALUE, or --csv=FILE
  bake MODEL OUT        write a SavedModel with its preparation inside
  fit-pipeline MODEL    learn a model's preparation from training data
  record-golden PATH    keep a model's right answers, to be checked at each load
  check-config FILE     what a model config file would serve, or what is wrong
  status URL            whether a server is well, and what is wrong if not
  health [URL]          whether a server takes calls, as an exit status
  quarantine URL MODEL  take a version out of service, or have it back
  make-key NAME         make an API key
  bench PATH|URL        measure how many requests are answered, and how fast
  size PATH             what a model needs at a rate; manifests for Kubernetes
  diagnose [URL]        find out why predictions are all the same, or wrong
  explain [CAUSE]       what a cause is that diagnose names, and how to fix it

unstuck COMMAND --help says more; unstuck --version prints the version."""

# Beside serve: each command's module in this package, imported once it is called, with a function run(arguments).
COMMANDS = {
    "inspect": "inspect",
    "predict": "predict",
    "bake": "bake",
    "fit-pipeline": "fit_pipeline",
    "record-golden": "record_golden",
    "check-config": "check_config",
    "status": "status",
    "quarantine": "quarantine",
    "make-key": "make_key",
    "bench": "bench",
    "size": "size",
    "health": "health",
    "diagnose": "diagnose",
    "explain": "explain",
}

INTERRUPTED = 130
CLOSED_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 130 where Ctrl-C ended it, 141 where nobody reads what it prints."""
    return _ended(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: Sequence[str]) -> int:
    command, *rest = arguments or ["--help"]
    if command in ("--help", "-h", "help"):
        print(USAGE)
        return 0
    if command == "--version":
        print(f"unstuck {__version__}")
        return 0
    if command == "serve":
        return _serve("unstuck serve", rest, rest_port_default=None)
    if command not in COMMANDS:
        hint = did_you_mean(command, ["serve", *COMMANDS]) or "unstuck --help lists the commands."
        print(f"unstuck: There is no command {command!r}. {hint}", file=sys.stderr)
        return 2
    run = importlib.import_module(f"unstuck.cli.{COMMANDS[command]}").run
    return _reported(f"unstuck {command}", lambda: run(rest))


def tensorflow_model_server() -> int:
    """``unstuck serve`` with TensorFlow Serving's defaults: no REST API unless its port is given."""
    return _ended(lambda: _serve("tensorflow_model_server", sys.argv[1:], rest_port_default=0))


def _ended(command: Callable[[], int]) -> int:
    try:
        status = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as of "unstuck … | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still to be flushed
        return CLOSED_PIPE
    return status


def _serve(program: str, arguments: Sequence[str], *, rest_port_default: int | None) -> int:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would log to stderr is in our own messages

    from unstuck.cli.serve import run

    return _reported(program, lambda: run(program, arguments, rest_port_default))


def _reported(program: str, command: Callable[[], int]) -> int:
    try:
        return command()
    except UnstuckError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
