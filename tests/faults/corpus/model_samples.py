"""Plausible inputs of the models, by the signatures' names: ``(random, count)`` to one array an input."""

import numpy as np

from corpus import datasets
from corpus.fitting import FITTED_ON, standardize
from corpus.model_case import Rows
from corpus.model_nets import attended_ids
from corpus.model_tf1 import DEVICES


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(1000, 1 << 30))


def credit(random: np.random.Generator, count: int) -> Rows:
    """Standardised, as ``features``."""
    trained_on, _ = datasets.credit_matrix(FITTED_ON, seed=100)
    return {"features": standardize(datasets.credit_matrix(count, _seed(random))[0], trained_on)}


def credit_columns(random: np.random.Generator, count: int) -> Rows:
    return datasets.credit(count, _seed(random))[0]


def houses(random: np.random.Generator, count: int) -> Rows:
    """Raw, as ``features``."""
    return {"features": datasets.house_matrix(count, _seed(random))[0].round(2)}


def houses_standardised(random: np.random.Generator, count: int) -> Rows:
    trained_on, _ = datasets.house_matrix(FITTED_ON, seed=100)
    return {"features": standardize(datasets.house_matrix(count, _seed(random))[0], trained_on)}


def images(random: np.random.Generator, count: int) -> Rows:
    """0..1, as ``image``."""
    pictures, _ = datasets.images(count, seed=_seed(random))
    return {"image": (pictures / 255).round(4).astype(np.float32)}


def token_ids(random: np.random.Generator, count: int) -> Rows:
    return {"token_ids": datasets.token_ids(datasets.sentences(count, _seed(random))[0])}


def first_token_ids(random: np.random.Generator, count: int) -> Rows:
    """Behind a first token that is always the same."""
    return {"token_ids": attended_ids(random, count)}


def tokens(random: np.random.Generator, count: int) -> Rows:
    return {"tokens": datasets.token_strings(datasets.sentences(count, _seed(random))[0])}


def eight_tokens(random: np.random.Generator, count: int) -> Rows:
    """Sentences of eight words: nothing of them is padding."""
    return {"tokens": datasets.token_strings(datasets.sentences(count, _seed(random), words=(8, 9))[0], length=8)}


def texts(random: np.random.Generator, count: int) -> Rows:
    """Lower case, without punctuation."""
    sentences, _ = datasets.sentences(count, _seed(random))
    return {"text": np.array([" ".join(datasets.split(sentence)) for sentence in sentences])}


def series(random: np.random.Generator, count: int) -> Rows:
    """Raw, as ``series``."""
    return {"series": datasets.sensors(count, seed=_seed(random))[0].round(2)}


def sequences(random: np.random.Generator, count: int) -> Rows:
    """Standardised, as ``sequence``."""
    trained_on, _ = datasets.sensors(FITTED_ON, seed=100)
    return {"sequence": standardize(datasets.sensors(count, seed=_seed(random))[0], trained_on)}


def customers(random: np.random.Generator, count: int) -> Rows:
    """``customer`` and ``series``, both raw."""
    return {"customer": datasets.credit_matrix(count, _seed(random))[0], **series(random, count)}


def pairs(random: np.random.Generator, count: int) -> Rows:
    return {"user_id": random.integers(0, 200, count), "item_id": random.integers(0, 80, count)}


def devices(random: np.random.Generator, count: int) -> Rows:
    return {"device": random.choice(DEVICES, count)}
