"""The HTML report in a real browser, where Debian's chromium is installed."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unstuck.doctor.evidence.answers import EndpointAnswers, OutputAnswers, RequestAnswer
from unstuck.doctor.evidence.samples import DEAD
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.report import as_html
from unstuck.doctor.run import decide

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
HOSTILE = "<script>console.error('run')</script><img src=x onerror=console.error(1)>"


@pytest.fixture(scope="module")
def page() -> str:
    """Of a model whose ReLU is dead, and of names that would run, and show in the console, if they could."""
    found = {
        Subject: Subject(model=HOSTILE, signature=HOSTILE),
        VariationTrace: DEAD,
        EndpointAnswers: EndpointAnswers(
            source="requests",
            asked=60,
            outputs=[OutputAnswers(output=HOSTILE, rows=60, distinct_inputs=60, distinct=1)],
            requests=[RequestAnswer(line=line, code="OK", seconds=0.0, digest="a") for line in range(1, 61)],
        ),
    }
    report = decide(found)
    assert report.verdict is not None
    assert report.verdict.cause == "model/dead-activation"
    return as_html(report, found)


def browse(text: str, folder: Path, *flags: str, width: int = 900) -> tuple[Image.Image, list[str]]:
    """A picture of the page, and what the browser wrote to its console."""
    (folder / "page.html").write_text(text, encoding="utf-8")
    picture = folder / f"page{width}{''.join(flags)}.png"
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
        *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
        *(f"--user-data-dir={folder / 'profile'}", f"--window-size={width},1600", f"--screenshot={picture}", *flags),
        (folder / "page.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return Image.open(picture).convert("RGB"), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@needs_chromium
def test_it_shows_without_errors_and_asks_for_nothing(page: str, tmp_path: Path) -> None:
    picture, console = browse(page, tmp_path)
    assert not console  # a request that its policy refuses would be here, as would a script's error
    pixels = np.asarray(picture).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 100
    assert (pixels == pixels[-1]).all(axis=1).mean() < 0.97  # not all background
    red = (pixels[:, 0] > 150) & (pixels[:, 1] < 90) & (pixels[:, 2] < 100)
    assert red.sum() > 500  # the verdict


@needs_chromium
@pytest.mark.parametrize(
    "added",
    ["<img src='http://127.0.0.1:9/x.png'>", "<script>1</script>", "<link rel=stylesheet href=http://127.0.0.1:9/x>"],
)
def test_its_policy_refuses_what_it_never_has(page: str, added: str, tmp_path: Path) -> None:
    """And so the test above would see it."""
    _, console = browse(page.replace("</main>", f"{added}</main>"), tmp_path)
    assert any("Content Security Policy" in line for line in console)


@needs_chromium
def test_it_is_dark_where_the_reader_s_system_is(page: str, tmp_path: Path) -> None:
    light, _ = browse(page, tmp_path)
    dark, _ = browse(page, tmp_path, "--force-dark-mode")
    assert sum(light.getpixel((2, 1500))) > 700  # type: ignore[arg-type]
    assert sum(dark.getpixel((2, 1500))) < 150  # type: ignore[arg-type]


@needs_chromium
def test_it_prints(page: str, tmp_path: Path) -> None:
    printed = tmp_path / "page.pdf"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--print-to-pdf={printed}", (tmp_path / "page.html").as_uri()]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert printed.read_bytes().startswith(b"%PDF")
    assert printed.stat().st_size > 10_000
