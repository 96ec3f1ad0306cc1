"""The text report: the verdict first, the fix to be copied, nothing that commands a terminal."""

import re

import pytest
from made_up_reports import FAULTY, FOUND, HEALTHY, PIPELINE, REST, UNPROVEN, fault, report

from unstuck.doctor.findings import Location
from unstuck.doctor.report import as_text


def test_the_order_is_verdict_evidence_fix_and_the_rest() -> None:
    suspect = fault("mapping/dropped-feature", status="suspect", why="It may never arrive.", confidence=0.4)
    second = fault("model/saturated-activation", why="The last layer is pinned.")
    text = as_text(report(fault(), second, suspect, *REST), FOUND)
    places = [
        *("✗ model/dead-activation", "Variation dies at layer 'relu'.", "almost certain (0.95)", "Evidence"),
        *(
            "spread of what it takes",
            "How to fix it",
            "Retrain from relu on.",
            "Also found",
            "The last layer is pinned.",
        ),
        *("Suspected, not proven", "possible (0.40)", "It may never arrive.", "Ruled out", "Not tested"),
    ]
    found = [text.index(each) for each in places]
    assert found == sorted(found)


def test_a_page_of_the_check_says_what_the_cause_means() -> None:
    assert "A ReLU-like layer is zero, or a gate is shut, for every input." in " ".join(as_text(FAULTY, FOUND).split())


def test_numbers_and_places_are_a_table() -> None:
    text = as_text(FAULTY, FOUND)
    assert re.search(r"^  layer +relu$", text, re.MULTILINE)
    assert re.search(r"^  rows +1,200$", text, re.MULTILINE)
    assert re.search(r"^  spread of what it takes +1\.775$", text, re.MULTILINE)
    assert re.search(r"^  shares a +0\.5$", text, re.MULTILINE)


def test_a_healthy_one_says_what_was_tested_and_what_was_not() -> None:
    text = as_text(HEALTHY, FOUND)
    assert text.startswith("✓ No fault was found.\n  3 of 6 known causes were tested.\n")
    assert re.search(r"^  Mapping +wrong layout$", text, re.MULTILINE)
    assert re.search(r"^  Model +non finite, collapsed$", text, re.MULTILINE)
    assert "  crosstalk, stale response:\n    no TARGET was given\n" in text
    assert "More can be tested with --model, --training-data, --golden, --server-log, --cgroup." in text


def test_a_fault_of_unknown_cause() -> None:
    text = as_text(report(*REST, verdict=UNPROVEN), FOUND)
    assert text.startswith("✗ A fault; no known cause of it is proven.\n  All answers are 0.5.\n")
    assert "Give --model." in text


def test_a_cause_is_named_once_though_it_is_also_tested_otherwise() -> None:
    said_twice = [*REST, fault("model/collapsed", status="suspect")]
    text = as_text(report(*said_twice), FOUND)
    ruled_out = text[text.index("Ruled out") : text.index("Not tested")]
    assert "collapsed" not in ruled_out
    assert "model/collapsed, almost certain" in text


def test_a_pipeline_in_the_fix_is_not_wrapped() -> None:
    fix = f"Split the text as in training, in the client {'or elsewhere ' * 10}by this pipeline:\n{PIPELINE}"
    text = as_text(report(fault(fix=fix, evidence={"pipeline": PIPELINE, "unknown": 1.0})), FOUND)
    assert "".join(f"  {line}\n" for line in PIPELINE.splitlines()) in text
    prose = [line for line in text.splitlines() if "-----" not in line]
    assert max(map(len, prose)) <= 100
    assert text.count("lowercase") == 1


def test_what_others_wrote_commands_no_terminal_and_is_no_markup() -> None:
    text = as_text(report(fault(why="\x1b[31mred[/bold] [link=http://x]\r", location=Location(layer="\x07"))), FOUND)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\x07" not in text
    assert r"\x1b[31mred[/bold] [link=http://x]\r" in text


@pytest.mark.parametrize("width", [40, 100])
def test_it_fits_the_width(width: int) -> None:
    long = fault(why="word " * 60, evidence={"name": "x" * 300}, location=Location(node="a/very/long/node" * 20))
    assert max(map(len, as_text(report(long, *REST), FOUND, width=width).splitlines())) <= width


def test_colours_only_where_asked() -> None:
    assert "\x1b" not in as_text(FAULTY, FOUND)
    assert "\x1b[1;31m✗ model/dead-activation" in as_text(FAULTY, FOUND, colour=True)
