"""What TensorFlow is asked for: the flags that end in a session's ConfigProto."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unstuck.engines.tensorflow import ENGINE, SessionOptions
from unstuck.engines.tensorflow.sessions import INLINE_POOL, OWN_POOL, config_of, new_session
from unstuck.errors import LoadFailed
from unstuck.testing import models

CPU = Path("/proc/cpuinfo")
has_bfloat16 = CPU.is_file() and any(name in CPU.read_text() for name in ("avx512_bf16", "amx_bf16"))


def test_without_options_ops_run_in_the_calling_thread():
    config = config_of(SessionOptions())
    assert config.ListFields() == []
    session, pool = new_session(SessionOptions())
    session.close()
    assert pool == INLINE_POOL


@pytest.mark.parametrize(("threads", "pool"), [(0, INLINE_POOL), (1, INLINE_POOL), (2, OWN_POOL)])
def test_ops_run_in_a_pool_where_several_may_at_the_same_time(threads, pool):
    session, got = new_session(SessionOptions(inter_op_threads=threads))
    session.close()
    assert got == pool


def test_options_come_before_the_users_file(tmp_path, caplog):
    """--per_process_gpu_memory_fraction and the numbers of threads, as in TensorFlow Serving."""
    file = tmp_path / "config.pbtxt"
    file.write_text(
        "allow_soft_placement: true  gpu_options { per_process_gpu_memory_fraction: 0.5 allow_growth: true }"
        "inter_op_parallelism_threads: 5 session_inter_op_thread_pool { num_threads: 3 }"
    )
    config = config_of(SessionOptions(file, intra_op_threads=2, gpu_memory_fraction=0.25))
    assert config.allow_soft_placement
    assert config.gpu_options.allow_growth
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.25
    assert config.intra_op_parallelism_threads == 2
    assert config.inter_op_parallelism_threads == 0
    assert f"{file}: inter_op_parallelism_threads has no effect" in caplog.text
    session, pool = new_session(SessionOptions(file))
    session.close()
    assert pool == OWN_POOL, "the user's own"


@pytest.mark.parametrize(
    "text", ["nonsense", "gpu_options { allow_growth: 7 }", b"\xff"], ids=["name", "value", "bytes"]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text):
    file = tmp_path / "config.pbtxt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    engine = replace(ENGINE, session=SessionOptions(file))
    with pytest.raises(LoadFailed, match=f"--tensorflow_session_config_file={file} is not a text proto"):
        engine.loader(models.half_plus_two(tmp_path / "m")).load()


def test_what_is_for_the_whole_process_is_set_before_its_first_session(tmp_path):
    """--tensorflow_intra_op_parallelism, --per_process_gpu_memory_fraction: the runtime module makes that session."""
    script = """
from dataclasses import replace
from pathlib import Path
from unstuck.engines.tensorflow import ENGINE, SessionOptions, first_session
replace(ENGINE, session=SessionOptions(intra_op_threads=3, gpu_memory_fraction=0.5)).loader(Path("m"))
from unstuck.engines.tensorflow.runtime import first_config
print(first_config.intra_op_parallelism_threads, first_config.gpu_options.per_process_gpu_memory_fraction)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "3 0.5\n"


@pytest.mark.parametrize(
    "is_asked_for",
    [
        False,
        pytest.param(
            True, marks=pytest.mark.skipif(not has_bfloat16, reason="TensorFlow thinks it unsafe on this CPU")
        ),
    ],
)
def test_mixed_precision_computes_in_bfloat16(tmp_path, is_asked_for):
    path = models.mlp(tmp_path / "mlp")
    x = np.random.default_rng(0).normal(size=(256, 64)).astype(np.float32)

    def answered(options):
        loader = replace(ENGINE, session=options).loader(path)
        servable = loader.load()
        (y,) = servable.run(servable.signatures["serving_default"], {"x": x}).values()
        loader.unload()
        return y

    difference = np.abs(answered(SessionOptions()) - answered(SessionOptions(bfloat16=is_asked_for))).max()
    assert (difference > 1e-4) == is_asked_for


def test_the_mixed_precision_flag_is_a_rewrite_of_the_graph():
    rewrites = config_of(SessionOptions(bfloat16=True)).graph_options.rewrite_options
    assert rewrites.auto_mixed_precision_onednn_bfloat16 == rewrites.ON
