"""`python -m examples.demo`: the real server, started by its command line, answers different requests differently."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.requests import EXAMPLES

ROOT = Path(__file__).parents[2]
CAUSES = {
    "text_classifier": "preprocessing/missing-tokenization",
    "feature_concat": "mapping/swapped-features",
    "image_classifier": "preprocessing/missing-normalization",
}
DEMO = [sys.executable, "-m", "examples.demo"]


@pytest.fixture(scope="module", autouse=True)
def _exported() -> None:
    subprocess.run([sys.executable, "-m", "examples.export"], cwd=ROOT, check=True, timeout=120)


@pytest.mark.slow
def test_demo_shows_different_predictions_beside_the_twins() -> None:
    done = subprocess.run(DEMO, check=False, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr + done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    for example in EXAMPLES:
        shown = done.stdout[done.stdout.index(f"\n{example.name}:") :]
        rows = [re.search(f"^  {re.escape(request.shown)} +(.+?)  +(.+)$", shown, re.M) for request in example.requests]
        assert all(rows)
        right, twin = zip(*(row.groups() for row in rows if row), strict=True)
        assert len(set(right)) == len(rows)
        assert [answer.split()[0] for answer in right] == [request.expected for request in example.requests]
        assert len({answer.split()[0] for answer in twin}) == 1
        assert f"{len(rows)} requests, {len(rows)} different predictions." in shown
        assert example.mistake in shown
        assert f"\n  {CAUSES[example.name]}\n" in done.stdout
        assert f"\n{example.twin}, with its pipeline:\n" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_keep_running_serves_until_interrupted(number: signal.Signals) -> None:
    with subprocess.Popen(
        [*DEMO, "--keep-running", "--rest_api_port=auto", "--port=0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout
        output = ""
        while f"{EXAMPLES[-1].name}:predict\n" not in output.partition("In another terminal")[2]:
            line = demo.stdout.readline()
            assert line, f"the demo ended early:\n{output}"
            output += line
        # The commands that it prints work as they are.
        for command in re.findall(r"^  (\S+ -m examples.requests .+)$", output, re.M):
            answer = subprocess.run(
                command, shell=True, check=True, cwd=ROOT, capture_output=True, text=True, timeout=30
            )
            assert '"predictions":' in answer.stdout
        demo.send_signal(number)
        output += demo.communicate(timeout=60)[0]
    assert demo.returncode == 0, output
    assert "Traceback" not in output


def test_demo_says_why_the_server_did_not_start() -> None:
    done = subprocess.run([*DEMO, "--no_such_flag"], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "demo: the server exited before it was ready" in done.stderr
    assert "no_such_flag" in done.stderr
    assert "Traceback" not in done.stderr
