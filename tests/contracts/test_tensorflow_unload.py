"""An unloaded SavedModel leaves nothing behind, without the garbage collector."""

import gc
import weakref

import numpy as np
import pytest

from unstuck.engines.tensorflow import ENGINE
from unstuck.testing import models as exports


@pytest.mark.parametrize("model", ["half_plus_two", "vocabulary_lookup", "mlp"])
def test_unloading_frees_the_graph_and_the_session_at_once(tmp_path, model):
    path = getattr(exports, model)(tmp_path / model)
    loader = ENGINE.loader(path)
    servable = loader.load()
    if model == "half_plus_two":
        servable.run(servable.signatures["serving_default"], {"x": np.ones((1, 1), np.float32)})
    session = loader._made._session
    operations = session.graph.get_operations()
    held = [weakref.ref(session), *(weakref.ref(each) for each in operations)]
    del operations
    gc.collect()
    gc.disable()
    try:
        del servable, session
        loader.unload()
        assert [each() for each in held if each() is not None] == []
    finally:
        gc.enable()


def test_unloading_twice_is_harmless(tmp_path):
    loader = ENGINE.loader(exports.half_plus_two(tmp_path / "m"))
    loader.load()
    loader.unload()
    loader.unload()
