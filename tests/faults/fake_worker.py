"""A worker without a server: says what one says, and does what its script tells this run of it to do.

    python fake_worker.py FOLDER SCRIPT…

The n-th run of worker k does the n-th of the SCRIPTs, and later runs the last. Each writes its hello to FOLDER.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

folder, scripts = Path(sys.argv[1]), sys.argv[2:]
connection = socket.socket(fileno=int(os.environ["UNSTUCK_WORKER"]))
lines = connection.makefile("rb")
hello = json.loads(lines.readline())["with"]
run = len(list(folder.glob(f"{hello['number']}-*")))
script = scripts[min(run, len(scripts) - 1)]


def note(name: str, text: str) -> None:
    """Writes a file that is never seen half written."""
    (folder / f".{name}").write_text(text)
    (folder / f".{name}").rename(folder / name)


def say(**message: object) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def ask(what: str) -> None:
    say(ask=what, what=what, **{"with": None})
    while json.loads(lines.readline()).get("answer") != what:
        pass


def beat() -> None:
    while True:
        say(tell="beat", **{"with": None})
        time.sleep(0.1)


def answer() -> None:
    while line := lines.readline():
        message = json.loads(line)
        if "answer" in message:
            continue
        what = message["what"]
        note(f"change-{os.getpid()}", json.dumps(message["with"]))
        if what == "change" and script == "refuse":
            say(
                answer=message["ask"],
                error={"message": "No.", "hint": "", "code": "INVALID_ARGUMENT", "kind": "InvalidRequest"},
            )
        else:
            say(answer=message["ask"], **{"is": None})
    os._exit(9)  # the supervisor is gone


note(f"{hello['number']}-{run}-{os.getpid()}", json.dumps(hello))
if script == "misconfigured":
    print("unstuck serve: There is no folder x.", file=sys.stderr)
    sys.exit(1)
ask("load")
note(f"loading-{os.getpid()}", str(time.monotonic()))
if script == "die loading":
    os.kill(os.getpid(), signal.SIGSEGV)
time.sleep(0.1)
note(f"loaded-{os.getpid()}", str(time.monotonic()))
say(tell="loaded", **{"with": None})
ask("serve")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
threading.Thread(target=beat, daemon=True).start()
threading.Thread(target=answer, daemon=True).start()
say(tell="serving", **{"with": f"served by {hello['number']}"})
if script == "die":
    print("last words", file=sys.stderr, flush=True)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
if script == "hang":
    os.kill(os.getpid(), signal.SIGSTOP)
if script == "change":
    while not (folder / "go").exists():
        time.sleep(0.01)
    say(ask="now", what="change", **{"with": {"text": "new"}})
time.sleep(60)
