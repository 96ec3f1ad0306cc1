"""The vocabularies of a pipeline are files of the baked model: each by its own name, found wherever the model is."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from test_pipeline_wrap import engine, version_1, version_2

from unstuck.engines.tensorflow import ENGINE
from unstuck.engines.tensorflow.bake import bake
from unstuck.engines.tensorflow.graph import read_meta_graph
from unstuck.engines.tensorflow.runtime import loader_impl
from unstuck.engines.tensorflow.tables import tables
from unstuck.pipeline.document import read_pipeline
from unstuck.testing import models

OWN = "\n".join(models.VOCABULARY)  # the model's own asset, vocabulary.txt
SPANISH = ["uno", "zero", "tres"]


def vocabulary(**settings):
    return {"vocabulary": {"unknown": -9, **settings}}


def labels(*names):
    return {"labels": {"names": [*names], "unknown": "?"}}


TO_ENGLISH = [vocabulary(tokens=SPANISH), labels("one", "zero", "three")]
NAMED = labels(*models.VOCABULARY)
# By output: what is done to the model's ids.
OUTPUTS = {
    "ids": [],
    "by_asset": [NAMED, vocabulary(asset="vocabulary.txt", first_id=10)],
    "by_file": [NAMED, vocabulary(file="more/vocabulary.txt", first_id=20)],
    "by_the_same": [NAMED, vocabulary(file="more/vocabulary.txt", first_id=-30)],
    "by_a_copy": [NAMED, vocabulary(file="copy.txt")],
    "by_an_equal": [NAMED, vocabulary(file="equal/vocabulary.txt")],
    "by_constants": [NAMED, vocabulary(tokens=["three", "", "zero"])],
}
RAW = np.array([b"tres", b"uno", b"dos", b"zero", b""], object)
WANTED = {
    "ids": [3, 1, -1, 0, -1],
    "by_asset": [13, 11, -9, 10, -9],
    "by_file": [20, 21, -9, -9, -9],
    "by_the_same": [-30, -29, -9, -9, -9],
    "by_a_copy": [0, 1, -9, -9, -9],
    "by_an_equal": [3, 1, -9, 0, -9],
    "by_constants": [0, -9, -9, 2, -9],
}


def write_pipeline(folder):
    declared = {
        "raw": {"c": {"dtype": "string"}},
        "inputs": {"words": {"from": "c", "steps": TO_ENGLISH}},
        "outputs": {alias: {"from": "ids", "steps": steps} for alias, steps in OUTPUTS.items()},
    }
    for name, content in (
        ("more/vocabulary.txt", "three\r\none\r\nfour"),
        ("copy.txt", "three\none\nfour\n"),
        ("equal/vocabulary.txt", OWN + "\n"),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode())
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}))
    return folder / "pipeline.yaml"


def assets_in_a_collection(version_path):
    """As TensorFlow 1 wrote them, which its loaders still read."""
    saved_model = loader_impl.parse_saved_model(str(version_path))
    (meta_graph,) = saved_model.meta_graphs
    for asset in meta_graph.asset_file_def:
        meta_graph.collection_def["saved_model_assets"].any_list.value.add().Pack(asset)
    meta_graph.ClearField("asset_file_def")
    (version_path / "saved_model.pb").write_bytes(saved_model.SerializeToString())


@pytest.fixture(scope="module", params=["declared", "in a collection"])
def moved(request, tmp_path_factory):
    """The baked model, elsewhere; what it was made of is gone."""
    folder = tmp_path_factory.mktemp("made")
    version_path = models.vocabulary_lookup(folder / "m")
    assert (version_path / "assets" / "vocabulary.txt").read_text() == OWN
    if request.param == "in a collection":
        assets_in_a_collection(version_path)
    pipeline_file = write_pipeline(tmp_path_factory.mktemp("written_here"))
    servable = replace(ENGINE, pipeline_file=pipeline_file).loader(version_path).load()
    answer = servable.run(servable.signatures["serving_default"], {"c": RAW})
    assert {alias: value.tolist() for alias, value in answer.items()} == WANTED
    bake(version_path, read_pipeline(pipeline_file), pipeline_file.parent, folder / "baked")
    out = tmp_path_factory.mktemp("elsewhere") / "1"
    shutil.move(folder / "baked", out)
    shutil.rmtree(folder)
    shutil.rmtree(pipeline_file.parent)
    return out


@pytest.mark.parametrize("way", [engine, version_1, version_2])
def test_a_baked_model_finds_its_vocabularies_however_it_is_loaded(moved, way):
    answer = way(moved)("serving_default", {"c": RAW})
    assert {alias: np.asarray(value).tolist() for alias, value in answer.items()} == WANTED
    own = way(moved)("serving_default_unprepared", {"words": np.array([b"two", b"dos"], object)})
    assert np.asarray(own["ids"]).tolist() == [2, -1]


def test_each_vocabulary_is_one_asset_beside_the_models_own(moved):
    # Neither a file that differs by its line ends, nor one that is the same but for its name, shares it with another.
    assert {path.name: path.read_text() for path in (moved / "assets").iterdir()} == {
        "vocabulary.txt": OWN,
        "vocabulary_1.txt": "uno\nzero\ntres\n",
        "vocabulary_2.txt": OWN + "\n",
        "vocabulary_3.txt": "three\none\nfour\n",
        "copy.txt": "three\none\nfour\n",
    }
    meta_graph = read_meta_graph(moved, ("serve",))
    filled = sorted((each.source, each.entries) for each in tables(meta_graph, moved / "assets") if each.source)
    assert filled == [
        ("constants in the graph", 3), ("copy.txt", 3), ("vocabulary.txt", 4), ("vocabulary_1.txt", 3),
        *[("vocabulary_2.txt", 4)] * 2, *[("vocabulary_3.txt", 3)] * 2,
    ]  # fmt: skip


def test_a_baked_model_says_nothing_of_where_its_pipeline_was(moved):
    assert b"written_here" not in (moved / "saved_model.pb").read_bytes()


def test_a_model_without_assets_gets_a_folder_of_them_only_for_what_is_a_line(tmp_path):
    version_path = models.multi_io(tmp_path / "m")
    for at, (tokens, names) in enumerate((([""], []), (["x\r"], []), (["x", "y\nz"], []), (["x"], ["vocabulary.txt"]))):
        declared = {
            "raw": {"a": {"dtype": "float", "shape": [2]}, "c": {"dtype": "string"}},
            "inputs": {"a": "a", "b": {"from": "c", "steps": [vocabulary(tokens=tokens)]}, "c": "c"},
        }
        (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}))
        out = tmp_path / f"out{at}"
        bake(version_path, read_pipeline(tmp_path / "pipeline.yaml"), tmp_path, out)
        assert [path.name for path in (out / "assets").glob("*")] == names
        inputs = {"a": np.zeros((2, 2), np.float32), "c": np.array([tokens[0].encode(), b"?"], object)}
        assert engine(out)("serving_default", inputs)["doubled"].tolist() == [0, -18]
