"""``unstuck serve``: flags in, and a process that serves, or one that starts several."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from textwrap import wrap

from unstuck import __version__
from unstuck.config import serve_flags as flags
from unstuck.config.flags import Accepted, FlagError, Flags, parse
from unstuck.config.foreign_flags import FOREIGN_FLAGS
from unstuck.config.serving import server_config
from unstuck.errors import UnstuckError
from unstuck.monitor.log_lines import console, write_log_as
from unstuck.supervisor.peers import peers_of_this_process


def run(program: str, arguments: Sequence[str], rest_port_default: int | None) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit status.

    Args:
        program: the name to print in help and errors.
        arguments: the command line after the command.
        rest_port_default: the REST port where none is given; None for ours.

    Raises:
        UnstuckError: the flags or what they name cannot be served.
    """
    parsed = parse(arguments, flags.SERVE_FLAGS, FOREIGN_FLAGS)
    if rest_port_default is not None and not parsed.has(flags.REST_PORT):
        parsed.values[flags.REST_PORT.name] = [rest_port_default]
    if parsed.get(flags.HELP):
        print(_help(program))
        return 0
    if parsed.get(flags.VERSION):
        print(_versions())
        return 0
    config = server_config(parsed)
    if not (config.rest_port or config.grpc_port or config.grpc_socket_path):
        raise FlagError(
            "Nothing to listen on: REST and gRPC are off.", hint="Give one a port: --port=8500 or --rest_api_port=8501."
        )
    peers = peers_of_this_process()
    write_log_as(config.log_format)
    if peers is None:
        _say_what_is_not_used(parsed)
    try:
        if config.workers and peers is None:
            from unstuck.cli.supervise import supervise

            return supervise(config, arguments)
        from unstuck.cli.serve_process import serve_alone, serve_as_worker

        if peers is None:
            serve_alone(config)
        serve_as_worker(config, peers)
    except UnstuckError as error:
        if config.log_format == "text":
            raise
        console.error(error)
        return 1


def _say_what_is_not_used(given: Flags) -> None:
    if given.has(flags.CONFIG_FILE) and (given.has(flags.MODEL_NAME) or given.has(flags.MODEL_BASE_PATH)):
        console.info("--model_name and --model_base_path are not used: --model_config_file says what is served.")
    for flag in given.without_effect:
        console.info(f"--{flag.name} has no effect: {flag.why}.")


def _help(program: str) -> str:
    lines = [
        f"Usage: {program} [NAME=]PATH… [FLAGS]",
        "",
        "PATH is a version's folder, one with numbered versions in it, or an .onnx or .tflite file; or such a URL as",
        "s3://bucket/name.",
        "",
    ]
    for title, group in flags.GROUPS.items():
        lines.append(f"{title}:")
        for flag in group:
            left = f"--{flag.name}" if flag.boolean else f"--{flag.name}={flag.metavar}"
            first, *rest = wrap(flag.text, 79)
            lines += [f"  {left:38} {first}"] if len(left) <= 38 else [f"  {left}", f"  {'':38} {first}"]
            lines += [f"  {'':38} {line}" for line in rest]
        lines.append("")
    accepted = [f"--{flag.name}" for flag in FOREIGN_FLAGS if isinstance(flag, Accepted)]
    return "\n".join([*lines, *wrap(f"Taken from TensorFlow Serving, without effect: {', '.join(accepted)}.", 110)])


def _versions() -> str:
    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    return f"Unstuck ModelServer: {__version__}\nTensorFlow Library: {installed('tensorflow')}"
