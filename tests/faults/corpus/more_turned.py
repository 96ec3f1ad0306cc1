"""Deployments whose axes or channels arrive in another order: films, spectra, codes, sound, turned photographs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, fitting
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    ALL,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_TRAINING,
)
from corpus.server import Hooks
from corpus.small_nets import ROWS, fitted, tiles

LAYOUT = "mapping/wrong-layout"
Turn = Callable[[np.ndarray], np.ndarray]


def _turned(folder: Path, alias: str, right: np.ndarray, model: Path, turn: Turn, count: int = 60) -> Deployment:
    """Of a client that arranges the rows by ``turn``, in the declared shape."""
    sent = np.ascontiguousarray(turn(right[:count])).reshape(right[:count].shape)
    known, meant = {alias: right[count : count + 240]}, {alias: right[:count]}
    return deploy(folder, model, {alias: sent}, training=known, right={alias: right[count : count + 24]}, meant=meant)


def _photographs(folder: Path, turn: Turn, dtype: Any = np.float32) -> Deployment:
    """Pictures lighter above than below, as those of landscapes, with a shadow on the left."""
    import tensorflow as tf

    pictures, labels = datasets.images(ROWS, seed=101)
    row, column = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    light = (1.0 - 0.4 * row / 16 - 0.25 * (column < 5))[..., None]
    right = (pictures * light).astype(dtype)

    def features(image: Any) -> Any:
        return tiles(tf.cast(image, tf.float32) / 255.0, 4)

    model = fitted(folder / "photographs", {"image": right}, labels, features)
    return _turned(folder, "image", right, model, turn)


def upside_down(folder: Path) -> Deployment:
    """The client reads bitmaps, whose rows come from below."""
    return _photographs(folder, lambda x: x[:, ::-1])


def quarter_turned(folder: Path) -> Deployment:
    """The telephone's note of how it was held is ignored: pictures lie on their side."""
    return _photographs(folder, lambda x: np.rot90(x, 1, (1, 2)))


def half_turned(folder: Path) -> Deployment:
    """The camera hangs from the ceiling; pictures of bytes."""
    return _photographs(folder, lambda x: np.rot90(x, 2, (1, 2)), np.uint8)


def spectra(folder: Path) -> Deployment:
    """Spectrograms of 20 x 20 with time and pitch exchanged."""
    random = np.random.default_rng(102)
    pitch = random.integers(0, 3, ROWS)
    time, band = np.meshgrid(np.arange(20), np.arange(20), indexing="ij")
    centre = 4 + 5 * pitch[:, None, None] + random.uniform(-1, 1, (ROWS, 1, 1))
    loud = np.exp(-((time - random.uniform(5, 15, (ROWS, 1, 1))) ** 2) / 60)
    energy = np.exp(-((band - centre) ** 2) / 6) * loud * 40 - 1.5 * band + random.normal(0, 1, (ROWS, 20, 20))
    right = energy.astype(np.float32)
    model = fitted(folder / "sounds", {"spectrum": right}, pitch, lambda spectrum: tiles(spectrum[..., None] / 40, 4))
    return _turned(folder, "spectrum", right, model, lambda x: x.transpose(0, 2, 1))


def films(folder: Path) -> Deployment:
    """Films of 8 frames of 8 x 8, sent with the frames as the last of three axes."""
    import tensorflow as tf

    random = np.random.default_rng(103)
    moving = random.integers(0, 2, ROWS)
    frame, row, column = np.meshgrid(np.arange(8), np.arange(8), np.arange(8), indexing="ij")
    at = 1 + moving[:, None, None, None] * 0.7 * frame + random.uniform(0, 2, (ROWS, 1, 1, 1))
    spot = np.exp(-((row - at) ** 2 + (column - 4) ** 2) / 4) + 0.05 * row
    right = (spot + random.normal(0, 0.03, spot.shape))[..., None].astype(np.float32)
    model = fitted(
        folder / "films", {"film": right}, moving, lambda film: 4 * tf.reshape(tf.reduce_mean(film, 3), [-1, 64])
    )
    return _turned(folder, "film", right, model, lambda x: x.transpose(0, 2, 3, 1, 4))


def codes(folder: Path) -> Deployment:
    """Genes as one of four letters a place, 20 x 4, sent with a row a letter."""
    import tensorflow as tf

    random = np.random.default_rng(104)
    kind = random.integers(0, 2, ROWS)
    shares = np.where(kind[:, None, None] == 1, [0.5, 0.2, 0.2, 0.1], [0.15, 0.45, 0.2, 0.2])
    letters = (random.random((ROWS, 20, 1)) > np.cumsum(shares, -1)).sum(-1).clip(0, 3)
    right = np.eye(4, dtype=np.float32)[letters]
    model = fitted(folder / "genes", {"gene": right}, kind, lambda gene: tf.reshape(gene, [-1, 80]))
    return _turned(folder, "gene", right, model, lambda x: x.transpose(0, 2, 1))


def stereo(folder: Path) -> Deployment:
    """Two microphones' samples, interleaved by the client, in blocks in training."""
    import tensorflow as tf

    random = np.random.default_rng(105)
    side = random.integers(0, 2, ROWS)
    wave = np.cumsum(random.normal(0, 1, (ROWS, 60)), axis=1)
    gains = np.where(side[:, None] == 1, [1.0, 0.3], [0.3, 1.0])
    right = (wave[:, None, :] * gains[..., None] + random.normal(0, 0.1, (ROWS, 2, 60))).astype(np.float32)
    model = fitted(
        folder / "sides", {"sound": right}, side, lambda sound: tf.math.log(1e-3 + tf.math.reduce_std(sound, 2))
    )
    return _turned(folder, "sound", right, model, lambda x: x.transpose(0, 2, 1))


def newest_first(folder: Path) -> Deployment:
    """A database gives the sensors' hours newest first."""
    import tensorflow as tf

    series, following = datasets.sensors(ROWS, seed=106)
    right = series + (np.arange(24) * 0.3)[None, :, None].astype(np.float32)
    scaled = fitting.standardize(right, right)
    model = fitted(
        folder / "weather",
        {"series": scaled},
        following.astype(np.float64),
        lambda series: tf.reshape(series[:, 12:], [-1, 36]),
    )
    return _turned(folder, "series", scaled, model, lambda x: x[:, ::-1])


def opacity_first(folder: Path) -> Deployment:
    """Pictures of four channels with the opacity first, which is last in training."""

    pictures, labels = datasets.images(ROWS, seed=107)
    opacity = np.random.default_rng(108).integers(200, 256, (ROWS, 16, 16, 1))
    right = (np.concatenate([pictures, opacity], 3) / 255).astype(np.float32)
    model = fitted(folder / "icons", {"image": right}, labels, lambda image: tiles(image, 4))
    return _turned(folder, "image", right, model, lambda x: x[..., [3, 0, 1, 2]])


def turned_by_gateway(folder: Path) -> Deployment:
    """What stands between turns pictures upright that are upright already."""
    pictures, labels = datasets.images(ROWS, seed=109)
    right = (pictures / 255).astype(np.float32)
    model = fitted(folder / "pictures", {"image": right}, labels, lambda image: tiles(image, 4))
    hooks = Hooks(before=lambda inputs: {"image": np.rot90(inputs["image"], 3, (1, 2)).copy()})
    known = {"image": right[60:260]}
    return deploy(folder, model, {"image": right[:40]}, training=known, right={"image": right[60:84]}, hooks=hooks)


CLIENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)
LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING, ALL)
_IMAGE = {"input": ("image",)}
CASES = [
    Case("layout-upside-down", "module", LAYOUT, upside_down, CLIENT, _IMAGE),
    Case("layout-quarter-turned", "module", LAYOUT, quarter_turned, CLIENT, _IMAGE),
    Case("layout-half-turned", "module", LAYOUT, half_turned, CLIENT, _IMAGE),
    Case("layout-spectra", "module", LAYOUT, spectra, CLIENT, {"input": ("spectrum",)}),
    Case("layout-films", "module", LAYOUT, films, CLIENT, {"input": ("film",)}),
    Case("layout-codes", "module", LAYOUT, codes, CLIENT, {"input": ("gene",)}),
    Case("layout-stereo", "module", LAYOUT, stereo, CLIENT, {"input": ("sound",)}),
    Case("layout-newest-first", "module", LAYOUT, newest_first, CLIENT, {"input": ("series",)}),
    Case("layout-opacity-first", "module", LAYOUT, opacity_first, CLIENT, _IMAGE),
    Case("layout-turned-by-gateway", "module", LAYOUT, turned_by_gateway, LIVE, _IMAGE),
]
