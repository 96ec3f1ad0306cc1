"""Deployments where what reaches the model is not what it was trained on."""

from corpus import (
    fresh_preprocessing,
    more_constant,
    more_double,
    more_encoding,
    preprocessing_constant,
    preprocessing_live,
    preprocessing_more,
    preprocessing_numbers,
    preprocessing_text,
    third_preprocessing,
    tokens_live,
    unseen_preprocessing,
    unseen_texts,
    with_profile,
)

CASES = [
    *preprocessing_constant.CASES,
    *preprocessing_text.CASES,
    *preprocessing_numbers.CASES,
    *preprocessing_live.CASES,
    *preprocessing_more.CASES,
    *more_constant.CASES,
    *more_double.CASES,
    *more_encoding.CASES,
    *tokens_live.FAULTS,
    *with_profile.OF_REQUESTS,
    *fresh_preprocessing.CASES,
    *unseen_preprocessing.CASES,
    *unseen_texts.CASES,
    *third_preprocessing.CASES,
]
