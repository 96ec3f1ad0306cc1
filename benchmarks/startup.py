"""From the start of ``unstuck serve`` to its first answer, beside ``import tensorflow`` alone.

    ./dev bench startup [--rounds 7]

Both are processes of their own, started in turn; the files are in the page cache. The model is half_plus_two, which
TensorFlow Serving tests itself with. Printed are medians, and the median of the rounds' ratios.
"""

import argparse
import http.client
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BODY = '{"instances": [[2.0]]}'
PAUSE_S = 0.005
TIMEOUT_S = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "half_plus_two"
        export = (
            f"from pathlib import Path; from unstuck.testing.models import half_plus_two as m; m(Path({str(model)!r}))"
        )
        subprocess.run([sys.executable, "-c", export], check=True)
        import_tensorflow()
        first_answer(model)  # neither is measured cold
        imports, answers = [], []
        for _ in range(rounds):
            imports.append(import_tensorflow())
            answers.append(first_answer(model))
    ratios = [answer / imported for answer, imported in zip(answers, imports, strict=True)]
    print(f"import tensorflow          {statistics.median(imports):.2f} s ({min(imports):.2f}-{max(imports):.2f})")
    print(f"unstuck serve, 1st answer  {statistics.median(answers):.2f} s ({min(answers):.2f}-{max(answers):.2f})")
    print(f"ratio                      {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


def import_tensorflow() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_answer(model: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "unstuck", "serve", str(model), f"--rest_api_port={port}", "--host=127.0.0.1"]
    began = time.perf_counter()
    server = subprocess.Popen([*command, "--port=auto"], stdout=subprocess.DEVNULL)
    try:
        while not answers(port):
            if server.poll() is not None or time.perf_counter() - began > TIMEOUT_S:
                raise SystemExit("the server did not answer")
            time.sleep(PAUSE_S)
        return time.perf_counter() - began
    finally:
        server.terminate()
        server.wait(TIMEOUT_S)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/v1/models/half_plus_two:predict", BODY)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
