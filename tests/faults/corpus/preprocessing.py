"""Deployments where what reaches the model is not what it was trained on."""

from corpus import (
    preprocessing_constant,
    preprocessing_live,
    preprocessing_more,
    preprocessing_numbers,
    preprocessing_text,
)

CASES = [
    *preprocessing_constant.CASES,
    *preprocessing_text.CASES,
    *preprocessing_numbers.CASES,
    *preprocessing_live.CASES,
    *preprocessing_more.CASES,
]
