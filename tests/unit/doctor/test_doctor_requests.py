"""What the experiments on requests read: sub-words, shifted ids, scales in the graph, encodings, budgets."""

import numpy as np
import pytest

from unstuck.core.dtypes import named
from unstuck.core.signatures import TensorSpec
from unstuck.doctor.check import Check
from unstuck.doctor.checks.preprocessing.constant_input import constant_input
from unstuck.doctor.checks.preprocessing.wrong_encoding import wrong_encoding
from unstuck.doctor.evidence.base import Evidence
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.evidence.profile import Numbers, PlaceComparison
from unstuck.doctor.evidence.samples_of_requests import HEX, KNOWN_ONCE_DECODED, UNKNOWN_EVEN_DECODED, facts
from unstuck.doctor.experiments.preparation_trials import _Budget, _in_turn  # pyright: ignore[reportPrivateUsage]
from unstuck.doctor.experiments.preparing import prepared
from unstuck.doctor.experiments.segmenting import are_unspaced, segmented
from unstuck.doctor.experiments.shifting import shift_of
from unstuck.doctor.experiments.splitting import pieces_of, split_rows


def status(check: Check, *evidence: Evidence) -> set[str]:
    return {each.status for each in check.run({type(each): each for each in evidence})}


def text(*values: str) -> np.ndarray:
    return np.array([value.encode() for value in values], object)


@pytest.mark.parametrize(
    ("kind", "sent", "expected"),
    [
        ("trim_punctuation", "«Goal», don't!", "Goal don't"),
        ("punctuation_to_blanks", "goal,match;snake_case", "goal match snake case"),
    ],
)
def test_punctuation(kind: str, sent: str, expected: str):
    preparation = Preparation.model_validate({"name": kind, "kinds": [kind]})
    assert prepared(preparation, text(sent)).tolist() == [expected.encode()]


def test_words_are_taken_apart_as_the_vocabulary_marks_sub_words():
    assert pieces_of("playing", {b"play", b"##ing"}) == [b"play", b"##ing"]
    assert pieces_of("playing", {"▁play".encode(), b"ing"}) == ["▁play".encode(), b"ing"]


def test_single_letters_do_not_make_up_a_word():
    assert pieces_of("abc", {b"a", b"##b", b"##c"}) == [b"abc"]


CHINESE = {word.encode() for word in ("干净", "房间", "窗户", "很", "房")}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("干净房间窗户", "干净 房间 窗户"),
        ("房间很大", "房间 很 大"),
        ("room干净 ok", "room 干净 ok"),
        ("plain words", "plain words"),
    ],
)
def test_a_text_without_blanks_is_cut_into_the_longest_words_of_the_vocabulary(sent: str, expected: str):
    assert segmented(sent.encode(), CHINESE).decode() == expected


def test_texts_with_blanks_are_not_cut_into_words():
    assert are_unspaced(["干净房间".encode(), "ok 很好".encode(), b"plain"])
    assert not are_unspaced([b"plain", "été à la plage".encode(), "안녕 하세요".encode()])


def test_characters():
    kind = named("string")
    assert kind is not None
    spec = TensorSpec("x", "x:0", kind, (None, None))
    row = {"x": np.array([[b"ab c"]], object)}
    found = list(split_rows(spec, row, Preparation(name="characters", kinds=["characters"])))
    assert found[0]["x"].tolist() == [[b"a", b"b", b" ", b"c"]]


def test_ids_that_are_trainings_moved():
    random = np.random.default_rng(0)
    words = random.permutation(np.arange(2, 80))  # the frequent ones anywhere among the others
    known = words[random.geometric(0.1, 4000) % 78].tolist()
    sent = (words[random.geometric(0.1, 800) % 78] - 2).tolist()
    found = shift_of(sent, known)
    assert found is not None
    assert found[0] == -2
    assert found[2] < found[1] / 2


def test_ids_of_the_same_or_another_distribution_are_not_moved():
    random = np.random.default_rng(1)
    known = random.geometric(0.1, 4000).tolist()
    assert shift_of(random.geometric(0.1, 800).tolist(), known) is None
    assert shift_of(random.integers(1, 200, 800).tolist(), known) is None


def numbers(low: float, high: float) -> Numbers:
    return Numbers(mean=(low + high) / 2, std=(high - low) / 3.46, minimum=low, maximum=high)


def test_pixels_of_0_to_1_are_off_where_training_has_minus_1_to_1():
    def off(low: float, high: float) -> bool:
        sent, known = numbers(low, high), numbers(-1.0, 1.0)
        return PlaceComparison(name="", requests=sent, reference=known, apart=0.5, outside=0.0).is_off

    assert off(0.0, 1.0)
    assert not off(-0.9, 1.0)
    assert not off(0.25, 0.9)


def test_an_encoding_is_proven_by_what_the_vocabulary_knows_once_undone():
    assert status(wrong_encoding, HEX, KNOWN_ONCE_DECODED) == {"fault"}
    assert status(wrong_encoding, HEX, UNKNOWN_EVEN_DECODED) == {"suspect"}


def test_rows_that_differ_only_before_the_parser_are_constant():
    requests = facts(dtype="string", distinct=40).model_copy(update={"distinct": 1})
    (found,) = constant_input.run({type(requests): requests})
    assert found.status == "fault"
    assert "parser" in found.why


def test_trials_end_with_their_calls_or_their_time():
    budget = _Budget(20, 60.0)
    assert budget.spend(12)
    assert not budget.spend(12)
    assert budget.spend(8)
    assert not _Budget(20, 0.0).spend(1)


def test_each_inputs_first_trial_comes_before_anyones_second():
    one, two = (Preparation(name=name, kinds=["strip"]) for name in ("one", "two"))
    turns = _in_turn([("a", one), ("a", two), ("b", one)])
    assert [(alias, each.name) for alias, each in turns] == [("a", "one"), ("b", "one"), ("a", "two")]
