"""``unstuck health``: whether a server takes calls, as an exit status; for health checks of containers."""

import sys
from collections.abc import Sequence

USAGE = """\
Usage: unstuck health [URL]

Exit status 0 where URL answers 200, 1 where it answers otherwise or nobody answers within 4 seconds. URL is
http://localhost:8501 where none is given: every model is AVAILABLE (/readyz). Another path is asked as it is:
http://localhost:8501/healthz says whether the process lives. Of https the certificate is not checked."""

DEFAULT = "http://localhost:8501"
TIMEOUT_S = 4.0


def run(arguments: Sequence[str]) -> int:
    """Asks; imports next to nothing, as it is started every few seconds beside a server."""
    if arguments and arguments[0] in ("--help", "-h"):
        print(USAGE)
        return 0
    scheme, separator, rest = (arguments[0] if arguments else DEFAULT).partition("://")
    address, _, path = rest.partition("/")
    if len(arguments) > 1 or scheme not in ("http", "https") or not separator or not address:
        print("unstuck health: expected at most one URL, http(s)://HOST:PORT[/PATH].", file=sys.stderr)
        return 2
    try:
        status = _status(scheme, address, f"/{path or 'readyz'}")
    except (OSError, ValueError) as error:
        print(f"{scheme}://{address} does not answer: {error}", file=sys.stderr)
        return 1
    return 0 if status == 200 else 1


def _status(scheme: str, address: str, path: str) -> int:
    """The HTTP status. Raises OSError or ValueError where there is none."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    if scheme == "https":
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is told, and nothing believed
        connection = HTTPSConnection(address, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except HTTPException as error:
        raise ValueError(f"no answer of HTTP ({type(error).__name__})") from None
    finally:
        connection.close()
