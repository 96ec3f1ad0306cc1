"""Says at the start what the process is allowed to use."""

from unstuck.core.allowance import allowance
from unstuck.monitor.log_lines import console


def say_what_is_allowed() -> None:
    """One line, and another for each thing of which there is little."""
    allowed = allowance()
    console.info(f"Limits: {allowed}.")
    for warning in allowed.warnings():
        console.warning(warning)
