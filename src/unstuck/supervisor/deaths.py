"""How a worker ended, in words."""

import signal

from unstuck.core.process import limits

MEBIBYTE = 1 << 20
_MEANINGS = {
    signal.SIGSEGV: "a native crash: an op or a library used memory that is not its own",
    signal.SIGBUS: "a native crash, or a file that a model maps into memory was cut while it served",
    signal.SIGABRT: "native code gave up, which says why above",
    signal.SIGILL: "native code built for another CPU, or a failed assertion in it",
    signal.SIGFPE: "native code divided by zero",
    signal.SIGTERM: "somebody stopped it",
}


def in_words(status: int, why_killed: str, oom_kills: int) -> str:
    """Begins with a verb, as in "was killed by SIGSEGV (…)".

    Args:
        status: of the process; the negative number of the signal that killed it.
        why_killed: what it had done, where we killed it.
        oom_kills: how many processes of the container were killed for memory since this one began.
    """
    if why_killed:
        return f"{why_killed}, and was killed"
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        return f"was killed by signal {-status}"
    meaning = _killed(oom_kills) if name == "SIGKILL" else _MEANINGS.get(signal.Signals(-status), "")
    return f"was killed by {name}" + (f" ({meaning})" if meaning else "")


def _killed(oom_kills: int) -> str:
    allowed = limits().memory_bytes
    limit = f"; the container's limit is {allowed / MEBIBYTE:,.0f} MiB" if allowed else ""
    return f"as memory ran out{limit}" if oom_kills > 0 else f"by somebody, or by the system as memory ran out{limit}"
