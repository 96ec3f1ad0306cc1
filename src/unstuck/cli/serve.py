"""``unstuck serve``: flags in, a running server out, and a page of text that says what is served and how to call it."""

import asyncio
import atexit
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from textwrap import wrap
from typing import NoReturn
from urllib.parse import quote

import uvloop

from unstuck import __version__
from unstuck.cli.calls import call
from unstuck.cli.memory import keep_freed_buffers
from unstuck.config import serve_flags as flags
from unstuck.config.flags import Accepted, FlagError, parse
from unstuck.config.foreign_flags import FOREIGN_FLAGS
from unstuck.config.serving import server_config
from unstuck.config.settings import ServerConfig
from unstuck.core.models import State
from unstuck.core.signatures import Signature
from unstuck.errors import UnstuckError
from unstuck.lifecycle.manager import AvailableVersion
from unstuck.monitor.log_lines import console, write_log_as
from unstuck.server import Server

ANYWHERE = ("0.0.0.0", "::")
SAME_SIGNAL_S = 0.5
ABANDONED = 130


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
    keep_freed_buffers()
    write_log_as(config.log_format)
    if parsed.has(flags.CONFIG_FILE) and (parsed.has(flags.MODEL_NAME) or parsed.has(flags.MODEL_BASE_PATH)):
        _say("--model_name and --model_base_path are not used: --model_config_file says what is served.")
    for flag in parsed.without_effect:
        _say(f"--{flag.name} has no effect: {flag.why}.")
    logging.getLogger("unstuck.versions").setLevel(logging.INFO)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(_serve(config))
        _leave(status)
    except UnstuckError as error:
        if config.log_format == "text":
            raise
        console.error(error)
        return 1


def _leave(status: int) -> NoReturn:
    """Ends the process without taking the interpreter apart: a native thread that wakes up in that aborts it."""
    logging.shutdown()
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


async def _serve(config: ServerConfig) -> int:
    stop = _stop_signals()
    server = Server(config)
    await server.start()
    names = ", ".join(each.name for each in server.plan) or "no model yet"
    _say(f"Unstuck {__version__}, pid {os.getpid()}: loading {names} …")
    failed: list[UnstuckError] = []
    loading = asyncio.ensure_future(server.load_models(lambda error: _report(error, failed)))
    stopping = asyncio.ensure_future(stop.get())
    await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        if failed and not server.models.available():
            stopping.cancel()
            await server.stop()
            return 1
        _say(_served(server, config))
    await stopping
    _say("Stopping: no new connections; requests in flight are finished.")
    finishing = asyncio.ensure_future(server.stop())
    # Ctrl-C in a terminal reaches the whole process group, and a wrapper may send it on: that is one request to stop.
    await asyncio.wait({finishing}, timeout=SAME_SIGNAL_S)
    while not stop.empty():
        stop.get_nowait()
    again = asyncio.ensure_future(stop.get())
    await asyncio.wait({finishing, again}, return_when=asyncio.FIRST_COMPLETED)
    if not finishing.done():
        _say("Stopped at once, on the second signal.")
        os._exit(ABANDONED)  # a call that never ends holds its thread; the interpreter would wait for it
    again.cancel()
    finishing.result()
    _say("Stopped.")
    return 0


def _stop_signals() -> "asyncio.Queue[signal.Signals]":
    queue: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, queue.put_nowait, number)
    return queue


def _report(error: UnstuckError, failed: list[UnstuckError]) -> None:
    failed.append(error)
    console.error(error)


def _say(text: str) -> None:
    console.info(text)


def _served(server: Server, config: ServerConfig) -> str:
    host = "localhost" if config.host in ANYWHERE else config.host
    scheme = "https" if config.rest_tls_config_file else "http"
    address = f"{scheme}://{host}:{server.rest_port}" if server.rest_port else ""
    lines = [""]
    if server.rest_port:
        lines.append(f"  REST    {address}   (bound to {config.host}; ready: /readyz, live: /healthz)")
    if server.grpc_port:
        tls = ", TLS" if config.ssl_config_file else ""
        lines.append(f"  gRPC    {host}:{server.grpc_port}   (bound to {config.host}; {server.grpc_front}{tls})")
    if config.grpc_socket_path:
        lines.append(f"  gRPC    unix:{config.grpc_socket_path}")
    for model in server.models.available():
        lines += ["", f"  {model.name}, version {model.version}"]
        for signature in model.servable.signatures.values():
            if signature.inputs:
                lines += _signature_lines(address, model, signature)
    serving = {model.name for model in server.models.available()}
    for name, statuses in server.models.statuses().items():
        failed = [f" version {each.version}" for each in statuses if each.state is State.END]
        lines += [f"\n  {name}{version if name in serving else ''} is NOT served (see above)" for version in failed]
        if not statuses:
            lines.append(f"\n  {name} is NOT served: it has no version yet")
    return "\n".join([*lines, "", "Ready. Ctrl-C stops it."])


def _signature_lines(address: str, model: AvailableVersion, signature: Signature) -> list[str]:
    takes = ", ".join(f"{alias}: {spec}" for alias, spec in signature.inputs.items())
    gives = ", ".join(f"{alias}: {spec}" for alias, spec in signature.outputs.items())
    lines = [f"    {signature.name}: {takes} -> {gives}"]
    if address:
        lines.append(f"      {call(signature, f'{address}/v1/models/{quote(model.name)}:predict')}")
    return lines


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
            first, *rest = wrap(flag.text, 80)
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
