"""A model with a signature for each case of pipeline steps, which gives back what it gets; and its pipeline file.

A case has a name, which names its signature too; its steps, its raw rows, and what comes of them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from unstuck.engines.tensorflow import ENGINE
from unstuck.engines.tensorflow.bake import bake
from unstuck.engines.tensorflow.runtime import tf
from unstuck.pipeline.document import read_pipeline

Case = tuple[list[Any], Callable[[], np.ndarray], Callable[[np.ndarray], np.ndarray]]


def dtype_of(array: np.ndarray) -> str:
    return "string" if array.dtype == object else array.dtype.name


def expected(case: Case) -> np.ndarray:
    _, rows, reference = case
    return reference(rows())


def export(folder: Path, cases: dict[str, Case]) -> tuple[Path, Path]:
    """The version folder, and the pipeline file beside it."""
    call = tf.function(lambda x: {"y": tf.identity(x)})
    signatures, declared = {}, {}
    for name, (steps, rows, _) in cases.items():
        wanted, raw = expected(cases[name]), rows()
        signatures[name] = call.get_concrete_function(x=tf.TensorSpec([None, *wanted.shape[1:]], dtype_of(wanted), "x"))
        declared[name] = {
            "raw": {"x": {"dtype": dtype_of(raw), "shape": [*raw.shape[1:]]}},
            "inputs": {"x": {"from": "x", "steps": steps}},
        }
    tf.saved_model.save(tf.Module(), str(folder / "1"), signatures=signatures)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"signatures": declared}))
    return folder / "1", folder / "pipeline.yaml"


def baked(version_path: Path, pipeline_file: Path) -> Path:
    out = version_path.parent / "baked" / "1"
    bake(version_path, read_pipeline(pipeline_file), pipeline_file.parent, out)
    return out


def by_engine(version_path, pipeline_file=None):
    servable = replace(ENGINE, pipeline_file=pipeline_file).loader(version_path).load()
    return lambda name, rows: servable.run(servable.signatures[name], {"x": rows})["y"]


def by_loader(version_path):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        defined = tf.compat.v1.saved_model.load(session, ["serve"], str(version_path)).signature_def
    return lambda name, rows: session.run(defined[name].outputs["y"].name, {defined[name].inputs["x"].name: rows})


def by_load(version_path):
    signatures = tf.saved_model.load(str(version_path)).signatures
    return lambda name, rows: np.asarray(signatures[name](x=tf.constant(rows))["y"])


def assert_same(got: np.ndarray, wanted: np.ndarray) -> None:
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    else:
        wrong = np.unique(np.nonzero(got != wanted)[0])
        assert not wrong.size, f"{wrong.size} rows, such as {wrong[0]}: {got[wrong[0]]!r}, not {wanted[wrong[0]]!r}"
