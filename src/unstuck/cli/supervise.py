"""``unstuck serve --workers=N``: the process that starts the workers. It serves nothing and loads no framework."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing

from unstuck import __version__
from unstuck.cli.allowed import say_what_is_allowed
from unstuck.config.model_config_file import read_text
from unstuck.config.settings import AUTO_PORT, ServerConfig
from unstuck.core.cgroups import oom_kills_all
from unstuck.errors import SetupError
from unstuck.monitor import log_lines
from unstuck.monitor.log_lines import console
from unstuck.supervisor.ports import reserve
from unstuck.supervisor.supervisor import Plan, Supervisor

ALL_DIE = (
    "If the container's memory runs out, the system ends all workers and the supervisor at once: memory.oom.group is 1 "
    "(Kubernetes sets it, unless its kubelet has singleProcessOOMKill: true)."
)


def supervise(config: ServerConfig, arguments: Sequence[str]) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit status.

    Args:
        config: what ``arguments`` ask for.
        arguments: of ``unstuck serve``; each worker is given them.

    Raises:
        SetupError: not on Linux, or a port that is taken.
    """
    if not sys.platform.startswith("linux"):
        raise SetupError("--workers needs Linux, whose ports several processes can share.", hint="Leave it out.")
    logging.getLogger("unstuck.workers").setLevel(logging.INFO)
    logging.getLogger("unstuck.supervisor").setLevel(logging.INFO)
    with ExitStack() as held:
        plan = Plan(
            command=[sys.executable, "-m", "unstuck", "serve", *arguments],
            workers=config.workers,
            rest_port=_reserved(held, config.host, config.rest_port, "REST", "rest_api_port"),
            grpc_port=_reserved(held, config.host, config.grpc_port, "gRPC", "port"),
            configuration={"text": read_text(config.model_config_file)} if config.model_config_file else {},
            config_file=config.model_config_file,
            poll_s=config.model_config_poll_s,
            has_plain_log=config.log_format == "text",
        )
        names = ", ".join(each.name for each in config.models) or str(config.model_config_file)
        workers = "1 worker" if config.workers == 1 else f"{config.workers} workers"
        console.info(f"Unstuck {__version__}, pid {os.getpid()}: starting {workers} for {names} …")
        say_what_is_allowed()
        if oom_kills_all():
            console.warning(ALL_DIE)
        try:
            return asyncio.run(Supervisor(plan).run())
        finally:
            log_lines.flush()


def _reserved(held: ExitStack, host: str, port: int, what: str, flag: str) -> int:
    """The port's number, which is kept until ``held`` ends; 0 where there is none."""
    if not port:
        return 0
    bound = held.enter_context(closing(reserve(host, 0 if port == AUTO_PORT else port, what, flag)))
    return int(bound.getsockname()[1])
