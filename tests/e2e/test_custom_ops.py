"""Models with ops that are not TensorFlow's own, each in processes of its own: a loaded op library stays loaded."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

EXPORT = """
import sys, tensorflow as tf, tensorflow_text as text
tokenizer = text.WhitespaceTokenizer()
spec = tf.TensorSpec([None], tf.string, name="text")
call = tf.function(lambda text: {"words": tokenizer.tokenize(text).row_lengths()}, input_signature=[spec])
tf.saved_model.save(tf.Module(), sys.argv[1], signatures=call)
"""
WITHOUT_TEXT = """
import sys
sys.modules["tensorflow_text"] = None
from unstuck.cli.main import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def word_counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with TF Text's whitespace tokeniser in its graph: text [-1] -> words int64 [-1]."""
    base_path = tmp_path_factory.mktemp("models") / "word_counter"
    subprocess.run([sys.executable, "-c", EXPORT, str(base_path / "1")], check=True, capture_output=True, timeout=120)
    return base_path


def test_text_ops_are_loaded_when_a_graph_needs_them(word_counter: Path) -> None:
    with served("-m", "unstuck", "serve", str(word_counter)) as url:
        assert predict(url, ["one", "two words", "and three words"]) == [1, 2, 3]


def test_a_missing_package_is_named_with_the_command_that_installs_it(word_counter: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TEXT, "serve", str(word_counter), "--rest_api_port=auto", "--port=0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert 'pip install "unstuck[text]"' in ended.stderr
    assert "TFText>WhitespaceTokenizeWithOffsetsV2" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_op_library_loads_a_shared_object_instead(word_counter: Path) -> None:
    spec = find_spec("tensorflow_text")
    assert spec is not None
    assert spec.origin is not None
    library = next(Path(spec.origin).parent.rglob("_whitespace_tokenizer*.so"))
    code = ("-c", WITHOUT_TEXT, "serve", str(word_counter), f"--op_library={library}")
    with served(*code) as url:
        assert predict(url, ["a b", "c"]) == [2, 1]


@pytest.mark.parametrize("library", ["no_such_module", pytest.param("/no/such/library.so", marks=pytest.mark.slow)])
def test_an_op_library_that_cannot_be_loaded_is_named(word_counter: Path, library: str) -> None:
    command = [sys.executable, "-c", WITHOUT_TEXT, "serve", str(word_counter), f"--op_library={library}"]
    ended = subprocess.run(
        [*command, "--rest_api_port=auto", "--port=0"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert f"--op_library={library}" in ended.stderr


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The address of a server started as ``python ARGUMENTS``."""
    command = [sys.executable, *arguments, "--rest_api_port=auto", "--port=0", "--host=127.0.0.1"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            seen = ""
            for line in process.stdout:
                seen += line
                if found := re.search(r"REST\s+(http://\S+)", line):
                    yield found[1]
                    return
            pytest.fail(f"the server ended: {seen}")
        finally:
            process.terminate()


def predict(url: str, texts: list[str]) -> list[int]:
    body = json.dumps({"instances": texts}).encode()
    with urllib.request.urlopen(f"{url}/v1/models/word_counter:predict", data=body, timeout=30) as response:
        return json.load(response)["predictions"]
