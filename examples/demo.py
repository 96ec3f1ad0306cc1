"""Serves the examples with the real server and shows its answers, each right model's beside its broken twin's.

Then diagnoses the twins, and serves them again with the pipelines that the diagnoses write. With --keep-running, leaves
the server in the foreground instead. Arguments unknown here go to the server.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from examples import evidence
from examples.export import MODELS, NAMES, ensure_exported
from examples.requests import EXAMPLES, Example

READY_WITHIN_S = 120
STOPPED_WITHIN_S = 30
DIAGNOSED_WITHIN_S = 120
WIDTH = 98
# The default opener would ask a proxy that the environment names, even for 127.0.0.1.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoError(Exception):
    """The demo did not show what it should; the message says why."""


def main() -> None:
    """Exits with 0 once everything is shown and the server has stopped cleanly, else with 1 and a message."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--keep-running", action="store_true", help="leave the server in the foreground")
    parser.add_argument("--rest_api_port", metavar="PORT", help="8501 with --keep-running, else any free port")
    options, flags = parser.parse_known_args()
    if not options.keep_running:
        flags += ["--host=127.0.0.1", "--port=0"]
    flags.append(f"--rest_api_port={options.rest_api_port or ('8501' if options.keep_running else 'auto')}")
    ensure_exported()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whichever way we are ended, the server ends with us
    server = Server(flags, echo=options.keep_running)
    try:
        address = server.wait_until_ready()
        if options.keep_running:
            print_commands(address)
            server.process.wait()
        else:
            print(f"unstuck serve answers at http://{address} with {len(NAMES)} models.")
            for example in EXAMPLES:
                show(example, address)
            with tempfile.TemporaryDirectory() as folder:
                pipelines = [diagnose(example, address, Path(folder)) for example in EXAMPLES]
                ended(server)
                server = Server([*flags, *pipelines], echo=False)
                address = server.wait_until_ready()
            for example in EXAMPLES:
                show_repaired(example, address)
    except KeyboardInterrupt:
        if not options.keep_running:
            sys.exit(130)
    except DemoError as error:
        server.stop()
        sys.exit(f"demo: {error}{server.unseen_output()}")
    finally:
        server.stop()
    ended(server)


def ended(server: "Server") -> None:
    """Stops the server; exits with a message if that was not clean."""
    status = server.stop()
    if status != 0:
        sys.exit(f"demo: the server exited with status {status}{server.unseen_output()}")


class Server:
    """`unstuck serve` with all examples, as a subprocess whose output is collected, and printed too if `echo`."""

    def __init__(self, flags: list[str], echo: bool) -> None:
        self.output, self.echo = "", echo
        command = [sys.executable, "-m", "unstuck", "serve", *flags, *(str(MODELS / name) for name in NAMES)]
        # In a process group of its own: Ctrl-C then reaches only us, and we end the server, once.
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if self.echo:
                print(line, end="", flush=True)

    def unseen_output(self) -> str:
        """What the server has printed, from a new line on, unless it was shown already."""
        return "" if self.echo else f"\n{self.output}"

    def wait_until_ready(self) -> str:
        """Waits until all models are available; returns HOST:PORT of the REST API."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            address = re.search(r"REST\s+http://(\S+)", self.output)
            if address and is_ready(address[1]):
                return address[1]
            time.sleep(0.1)
        why = f"was not ready after {READY_WITHIN_S} s" if self.process.poll() is None else "exited before it was ready"
        raise DemoError(f"the server {why}")

    def stop(self) -> int:
        """Ends the server by SIGTERM; by SIGKILL where it does not obey. Returns its exit status."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave the server behind
        self.process.terminate()
        try:
            self.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join(STOPPED_WITHIN_S)
        return self.process.wait()


def is_ready(address: str) -> bool:
    """Whether all models of the server are available."""
    try:
        with HTTP.open(f"http://{address}/readyz", timeout=5):
            return True
    except OSError:  # nobody listens yet, or the answer is 503
        return False


def predict(address: str, model: str, instance: dict[str, Any]) -> float | list[float]:
    """Sends one request with one instance; returns its prediction."""
    body = json.dumps({"instances": [instance]}).encode()
    try:
        with HTTP.open(f"http://{address}/v1/models/{model}:predict", body, timeout=30) as response:
            return json.load(response)["predictions"][0]
    except urllib.error.HTTPError as error:
        raise DemoError(f"{model} answered with status {error.code}: {error.read().decode()}") from None
    except OSError as error:
        raise DemoError(f"{model} did not answer: {error}") from None


def show(example: Example, address: str) -> None:
    """Prints what the right model and its broken twin answer; raises DemoError if the right one repeats itself."""
    print(f"\n{example.name}: {example.question}\n")
    print(f"  {'request':54}  {'right model':16}  its broken twin")
    predictions: list[float | list[float]] = []
    twins_classes: set[str] = set()
    for request in example.requests:
        prediction = predict(address, example.name, request.instance)
        twins = predict(address, example.twin, example.to_twin(request.instance))
        print(f"  {request.shown:54}  {example.answer(prediction):16}  {example.answer(twins)}")
        predictions.append(prediction)
        twins_classes.add(example.answer(twins).split()[0])

    different = len({json.dumps(prediction) for prediction in predictions})
    always = " or ".join(sorted(twins_classes))
    print(f"\n  {len(predictions)} requests, {different} different predictions. The broken twin always says {always}:")
    print(f"  {example.mistake}.", flush=True)
    if different < len(predictions):
        raise DemoError(f"{example.name} gave the same prediction to different requests")


def diagnose(example: Example, address: str, folder: Path) -> str:
    """Prints what `unstuck diagnose` says of the twin; returns the flag that serves it with the pipeline it wrote."""
    target, pipeline = f"http://{address}/v1/models/{example.twin}", folder / f"{example.name}.yaml"
    files = evidence.write(example, folder, partial(predict, address, example.name))
    flags = [f"--{name}={file}" for name, file in files.items()]
    command = ["diagnose", target, f"--model={MODELS / example.twin}", *flags, f"--apply-pipeline={pipeline}"]
    done = subprocess.run(
        [sys.executable, "-m", "unstuck", *command, "--format=json"],
        check=False, capture_output=True, text=True, timeout=DIAGNOSED_WITHIN_S,
    )  # fmt: skip
    if done.returncode != 1 or not pipeline.exists():
        raise DemoError(f"the fault of {example.twin} was not found, or no pipeline written: {done.stderr}")
    verdict = json.loads(done.stdout)["verdict"]
    shown = [f"unstuck diagnose …/{example.twin} --model=…", *(f"--{name}={file.name}" for name, file in files.items())]
    print("\n" + " \\\n    ".join(shown) + f"\n\n  {verdict['cause']}")
    print(textwrap.fill(verdict["summary"], WIDTH, initial_indent="  ", subsequent_indent="  "))
    print("\n  the pipeline that repairs it:\n" + textwrap.indent(pipeline.read_text(), "    "), flush=True)
    return f"--pipeline_file={example.twin}={pipeline}"


def show_repaired(example: Example, address: str) -> None:
    """Prints the twin's answers behind its pipeline; raises DemoError where they are not the right model's."""
    print(f"\n{example.twin}, with its pipeline:\n")
    for request in example.requests:
        right = predict(address, example.name, request.instance)
        twins = predict(address, example.twin, example.to_twin(request.instance))
        print(f"  {request.shown:54}  {example.answer(right):16}  {example.answer(twins)}", flush=True)
        if example.answer(twins).split()[0] != request.expected:
            raise DemoError(f"{example.twin} with its pipeline answers {example.answer(twins)}")


def print_commands(address: str) -> None:
    """Prints a command for each example, ready to be pasted into another terminal."""
    url = "http://" + address.replace("0.0.0.0", "localhost").replace("[::]", "localhost")
    print("\nIn another terminal, in this folder (add _broken to a model's name to ask its twin):\n")
    for example in EXAMPLES:
        requests = f"{os.path.relpath(sys.executable)} -m examples.requests {example.name}"
        print(f"  {requests} | curl -d @- {url}/v1/models/{example.name}:predict")
    print(flush=True)


if __name__ == "__main__":
    main()
