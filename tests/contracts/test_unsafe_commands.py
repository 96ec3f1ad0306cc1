"""Which commands run a SavedModel of the kind that does harm as soon as it is loaded: none, until they are told to."""

import json
import subprocess
import sys

import pytest

from unstuck.cli.main import main
from unstuck.core.signatures import DEFAULT_SIGNATURE
from unstuck.engines.tensorflow.tracing import TracedSavedModel
from unstuck.errors import LoadFailed
from unstuck.testing import onnx_models
from unstuck.testing.saving import new_graph, signature_def

pytest.importorskip("tensorflow")

LOADS = ("predict", "record-golden", "bake", "diagnose")
SERVES = ("bench", "size")
ONLY_READS = ("inspect", "fit-pipeline")
PIPELINE = """\
signatures:
  serving_default:
    raw: {amount: {dtype: float}}
    inputs: {x: amount}
"""
CALLS_PYTHON = """\
signatures:
  serving_default:
    raw: {text: {dtype: string}}
    python: {length: {function: "measure.py:length", from: text, dtype: float, shape: [1]}}
    inputs: {x: length}
"""
MEASURE = """\
import numpy as np


def length(text):
    return np.array([[len(each)] for each in text], np.float32)
"""
ROWS = [{"instances": [x]} for x in (1.0, 2.0, 3.0)]


@pytest.fixture
def victim(tmp_path):
    return tmp_path / "victim"


@pytest.fixture
def model(tmp_path, victim):
    """y = 2 x, of numbers; what loading it runs writes a file."""
    with new_graph() as (tf, session):
        v1 = tf.compat.v1
        x = v1.placeholder(tf.float32, [None], "x")
        y = tf.identity(x * v1.get_variable("two", initializer=2.0, use_resource=False), "y")
        harm = tf.raw_ops.WriteFile(filename=str(victim), contents="written")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(tmp_path / "m"))
        signatures = {DEFAULT_SIGNATURE: signature_def(tf, {"x": x}, {"y": y})}
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, main_op=harm)
        builder.save()
    return tmp_path / "m"


@pytest.fixture
def arguments(tmp_path, model):
    """``arguments(command)``: with all that it needs."""
    requests, data, pipeline = (tmp_path / name for name in ("requests.jsonl", "data.csv", "pipeline.yaml"))
    requests.write_text("\n".join(map(json.dumps, ROWS)))
    data.write_text("x\n1\n2\n")
    pipeline.write_text(PIPELINE)
    quick = ("--duration=0.2", "--warmup=0")
    given = {
        "predict": (model, "--input=x=1"),
        "record-golden": (model, f"--requests={requests}"),
        "bake": (model, tmp_path / "baked", f"--pipeline={pipeline}"),
        "diagnose": (f"--model={model}", f"--requests={requests}"),
        "bench": (model, *quick, "--concurrency=1"),
        "size": (model, *quick, "--p99=5000", "--rate=5"),
        "inspect": (model,),
        "fit-pipeline": (model, f"--training-data={data}", "--normalise=none", f"--out={tmp_path / 'fitted'}"),
    }
    return lambda command: [command, *map(str, given[command])]


@pytest.mark.parametrize("command", LOADS)
def test_a_command_that_loads_a_model_refuses_one_that_does_harm(command, arguments, victim, tmp_path, capsys):
    status = main(arguments(command))
    out, err = capsys.readouterr()
    assert not victim.exists()
    assert status != 0 or command == "diagnose"
    assert "does more than compute: WriteFile" in " ".join((out + err).split())
    assert "--allow_unsafe_ops" in out + err
    assert not (tmp_path / "baked").exists()


@pytest.mark.parametrize("command", LOADS)
def test_it_is_loaded_once_the_flag_says_so(command, arguments, victim, capsys):
    status = main([*arguments(command), "--allow_unsafe_ops"])
    assert victim.read_text() == "written", capsys.readouterr()
    assert status == 0 or command == "diagnose"


@pytest.mark.parametrize("command", ONLY_READS)
def test_a_command_that_reads_files_alone_needs_no_flag(command, arguments, victim):
    assert main(arguments(command)) == 0
    assert not victim.exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", SERVES)
def test_a_command_that_serves_it_passes_the_flag_on(command, arguments, victim):
    def ended(*more):
        whole = [sys.executable, "-m", "unstuck", *arguments(command), *more]
        return subprocess.run(whole, capture_output=True, text=True, timeout=200, check=False)

    refused = ended()
    assert refused.returncode == 2
    assert not victim.exists()
    assert "does more than compute: WriteFile" in refused.stderr
    assert "--serve-flag=--allow_unsafe_ops" in refused.stderr
    ended("--serve-flag=--allow_unsafe_ops")
    assert victim.read_text() == "written"


def test_a_baked_model_is_as_harmful_as_what_it_was_made_of(arguments, victim, tmp_path, capsys):
    assert main([*arguments("bake"), "--allow_unsafe_ops"]) == 0
    victim.unlink()
    assert main(["predict", str(tmp_path / "baked"), "--input=amount=1"]) == 1
    assert "does more than compute: WriteFile" in capsys.readouterr().err
    assert not victim.exists()


def test_what_diagnose_takes_apart_is_not_loaded_either(model, victim):
    with pytest.raises(LoadFailed, match=r"WriteFile .* is run by loading the model"):
        TracedSavedModel(model)
    assert not victim.exists()
    TracedSavedModel(model, allow_unsafe_ops=True).close()
    assert victim.exists()


@pytest.mark.parametrize("beside", [True, False])
def test_python_of_a_pipeline_is_run_where_whoever_records_names_it(beside, tmp_path, capsys):
    version = onnx_models.half_plus_two(tmp_path / "m")
    folder = version / "assets.extra" / "unstuck" if beside else tmp_path / "own"
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(CALLS_PYTHON)
    (folder / "measure.py").write_text(MEASURE)
    requests = tmp_path / "requests.jsonl"
    requests.write_text("\n".join(json.dumps({"instances": [text]}) for text in ("a", "bb", "ccc")))
    command = ["record-golden", str(version), f"--requests={requests}"]
    if beside:
        assert main(command) == 1
        assert "came with the model and names the Python function 'measure.py:length'" in capsys.readouterr().err
    named = "--allow_unsafe_ops" if beside else f"--pipeline_file={folder / 'pipeline.yaml'}"
    assert main([*command, named]) == 0
    assert "3 golden rows" in capsys.readouterr().out
