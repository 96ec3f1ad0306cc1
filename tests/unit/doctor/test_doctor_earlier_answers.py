"""A cache by too little gives the very answers of earlier requests; nothing else does."""

import json

import numpy as np
from fake_endpoints import FakeEndpoint, FakeModel, lab_with

from unstuck.doctor.experiments.earlier_answers import compared, earlier_answers

ROWS = 40
RANDOM = np.random.default_rng(4)
FIRST, SECOND = RANDOM.integers(0, 8, ROWS), RANDOM.normal(size=ROWS)
NAMES = [f"request {at}" for at in range(ROWS)]


def answers(first, second):
    return [{"y": np.float32([[np.sin(3.0 * one) + other]])} for one, other in zip(first, second, strict=True)]


def by_first(given):
    """What a cache keyed on the first feature alone makes of right answers."""
    kept = {}
    return [kept.setdefault(int(key), answer) for key, answer in zip(FIRST, given, strict=True)]


RIGHT = answers(FIRST, SECOND)


def test_a_cache_by_a_part_of_the_request_is_proven():
    found = compared(NAMES, by_first(RIGHT), RIGHT, set())
    assert found.proves_stale
    assert found.wrong == found.earlier == ROWS - len(set(FIRST.tolist()))
    assert found.sources > 2


def test_right_answers_prove_nothing():
    assert not compared(NAMES, RIGHT, RIGHT, set()).proves_stale


def test_a_lost_feature_gives_nobodys_answers():
    found = compared(NAMES, answers(FIRST, np.zeros(ROWS)), RIGHT, set())
    assert found.wrong > 20
    assert not found.proves_stale


def test_a_lost_flag_gives_nobodys_answers():
    flag = np.arange(ROWS) % 4 == 1
    found = compared(NAMES, answers(SECOND, 0 * FIRST), answers(SECOND, flag), set())
    assert found.wrong == flag.sum()
    assert not found.proves_stale


def test_answers_of_later_requests_are_no_replays():
    later = RIGHT[1:] + RIGHT[:1]
    found = compared(NAMES, later, RIGHT, set())
    assert not found.proves_stale


def test_wrong_labels_meet_earlier_ones_by_chance():
    labels = [{"y": np.int64([each % 2])} for each in range(ROWS)]
    swapped = [{"y": 1 - each["y"]} for each in labels]
    assert not compared(NAMES, swapped, labels, set()).proves_stale


def test_what_was_asked_before_all_others_counts_as_earlier():
    known = {0: RIGHT[-1], **{key: RIGHT[at] for at, key in reversed(list(enumerate(FIRST.tolist()))) if key}}
    served = [known[key] if key else RIGHT[-1] for key in FIRST.tolist()]
    served[-1] = RIGHT[-1]
    assert compared(NAMES, served, RIGHT, {NAMES[-1]}).proves_stale
    assert not compared(NAMES, served, RIGHT, set()).proves_stale


def test_an_endpoint_that_caches_by_a_digit_is_seen(tmp_path):
    file, kept = tmp_path / "requests.jsonl", {}
    rows = RANDOM.normal(size=(ROWS, 3)).round(3).tolist()
    file.write_text("".join(json.dumps({"instances": [row]}) + "\n" for row in rows))

    def serve(body, run):
        key = round(abs(np.ravel(json.loads(body)["instances"])[0]) * 1e3) % 4
        if key not in kept:
            kept[key] = run()
        return kept[key]

    found = earlier_answers(lab_with(FakeEndpoint(serve), FakeModel(), requests=file))
    assert found is not None
    assert found.proves_stale


def test_without_a_model_there_is_nothing_to_compare_with():
    assert earlier_answers(lab_with(FakeEndpoint())) is None
