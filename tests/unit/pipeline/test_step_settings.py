"""Settings that do not fit together are refused, and said."""

import pytest
from pydantic import ValidationError

from unstuck.pipeline.steps import STEPS

EITHER = "expected either mean and std, or file and feature"


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("z_score", {}, EITHER),
        ("z_score", {"mean": 1}, EITHER),
        ("z_score", {"file": "a"}, EITHER),
        ("z_score", {"feature": "a"}, EITHER),
        ("z_score", {"mean": 1, "file": "a", "feature": "b"}, EITHER),
        ("z_score", {"mean": 1, "std": 1, "file": "a", "feature": "b"}, EITHER),
        ("z_score", {"mean": None, "std": 1}, "expected a number or a list of numbers"),
        ("z_score", {"mean": 1, "std": True}, "expected a number or a list of numbers"),
        ("min_max", {"min": 1, "feature": "b"}, "expected either min and max, or file and feature"),
        ("date", {"format": "%Y", "give": "years"}, "expected one, or a list, of year, month"),
        ("date", {"format": "%Y", "give": []}, "expected one, or a list, of year, month"),
        ("date", {"format": "%Y", "give": [["year"]]}, "expected one, or a list, of year, month"),
        ("date", {"format": "%Y", "give": None}, "expected one, or a list, of year, month"),
        ("date", {"format": "%Y", "give": ["year", "hour"]}, "the format '%Y' has no hour"),
        ("date", {"format": "%Q", "give": "year"}, "%Q of '%Q' is not supported; expected %Y %y"),
        ("cyclic", {"period": 0}, "greater than 0"),
        ("cyclic", {"period": float("inf")}, "finite"),
        ("top_k", {"k": 0, "give": "places"}, "greater than 0"),
        ("top_k", {"k": 1, "give": "indices"}, "'values' or 'places'"),
        ("vocabulary", {"tokens": ["a"], "unknown": "err"}, "expected an integer, or error"),
        ("vocabulary", {"tokens": ["a"], "unknown": True}, "expected an integer, or error"),
        ("vocabulary", {"tokens": ["a"], "unknown": "error", "hash_buckets": 2}, "error or hash_buckets, not both"),
        ("vocabulary", {"tokens": ["a"], "integers": [1], "unknown": 0}, "expected either tokens or integers or file"),
        ("vocabulary", {"tokens": ["a"], "asset": "a.txt", "unknown": 0}, "expected either tokens or integers or file"),
        ("vocabulary", {"asset": "", "unknown": 0}, "at least 1 character"),
        ("vocabulary", {"tokens": ["a"], "unknown": 0, "first_id": 2**63}, "less than or equal to"),
        ("word_piece", {}, "expected either file or asset"),
        ("word_piece", {"file": "a", "asset": "b"}, "expected either file or asset"),
        ("word_piece", {"file": "a", "max_characters": 0}, "greater than 0"),
        ("sentence_piece", {}, "expected either file or asset"),
        ("pad", {"length": 1, "value": 0, "first": 1, "last": 2}, "expected length to be 2 at least, for first"),
        ("pad", {"length": 3, "value": 0, "last": True}, "expected a number or text"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name, settings, says):
    with pytest.raises(ValidationError) as caught:
        STEPS[name].model_validate(settings)
    assert says in str(caught.value)
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("z_score", {"file": "a.json", "feature": "age"}),
        ("min_max", {"file": "a.json", "feature": "age"}),
        ("vocabulary", {"integers": [1, 2], "unknown": "error"}),
        ("vocabulary", {"file": "a.txt", "unknown": 0, "hash_buckets": 4}),
        ("date", {"format": "unix", "give": "hour"}),
        ("vocabulary", {"asset": "a.txt", "unknown": 0}),
        ("pad", {"length": 2, "value": 0, "first": 1, "last": 2}),
        ("ngrams", {"width": 2, "separator": ""}),
        ("bert_split", {"lowercase": False, "strip_accents": True}),
    ],
)
def test_settings_that_fit_are_taken(name, settings):
    step = STEPS[name].model_validate(settings)
    assert {key: getattr(step, key) for key in settings} == settings
