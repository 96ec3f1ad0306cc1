"""``unstuck inspect`` on models whose graphs are known; each is read without its framework."""

import json
import random
import subprocess
import sys

import pytest

from unstuck.cli.main import main
from unstuck.core.dtypes import FLOAT
from unstuck.core.inspection import why_not_batched
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.errors import LoadFailed
from unstuck.testing import models, onnx_models
from unstuck.testing.saving import import_tensorflow, save_tf2


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """``exported(export)``: the version folder of that model, exported on first use."""
    done = {}

    def path_of(export):
        if export not in done:
            done[export] = export(tmp_path_factory.mktemp("inspect") / export.__name__)
        return done[export]

    return path_of


@pytest.fixture
def inspected(exported, capsys):
    """``inspected(export)``: what ``--json`` prints of it."""

    def run(export, *arguments):
        assert main(["inspect", str(exported(export)), "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def preprocessing_tf(base_path):
    """What Keras exports for images: decoded, resized, rescaled by 1/255; and a regex."""
    tf = import_tensorflow()
    image, text = tf.TensorSpec([], tf.string, "image"), tf.TensorSpec([None], tf.string, "text")

    @tf.function(input_signature=[image, text])
    def call(image, text):
        pixels = tf.cast(tf.image.decode_png(image, channels=3), tf.float32)
        with tf.name_scope("rescaling"):
            pixels = pixels * tf.constant(1 / 255, name="scale") + tf.constant(-0.5)
        words = tf.strings.regex_replace(tf.strings.lower(text), "a", "b")
        return {"pixels": tf.image.resize(pixels, (8, 8)), "hashes": tf.strings.to_hash_bucket_fast(words, 10)}

    return save_tf2(tf, tf.Module(), base_path, 1, {"serving_default": call})


def unsafe_tf(base_path):
    """Calls Python, and writes a file in a function that no signature calls."""
    tf = import_tensorflow()
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "path")])
    def write(path):
        tf.io.write_file(path, "x")

    module.write = write

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def call(x):
        return {"y": tf.numpy_function(lambda values: values, [x], tf.float32)}

    return save_tf2(tf, module, base_path, 1, {"serving_default": call})


def constant_table(base_path):
    tf = import_tensorflow()
    module = tf.Module()
    keys = tf.constant(["a", "b", "c"])
    module.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, [1, 2, 3]), -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "x")])
    def call(x):
        return {"y": module.table.lookup(x)}

    return save_tf2(tf, module, base_path, 1, {"serving_default": call})


def scaled_onnx(base_path):
    """An image of bytes, scaled, then multiplied with weights."""
    return onnx_models._save(
        base_path,
        1,
        [
            ("Cast", "image", "floats", {"to": 1}),
            ("Div", "floats scale", "scaled", {}),
            ("Sub", "scaled mean", "centred", {}),
            ("MatMul", "centred w", "y", {}),
        ],
        {"image": ("UINT8", ["n", 3])},
        {"y": ("FLOAT", ["n", 1])},
        {
            "scale": ("FLOAT", [], [255.0]),
            "mean": ("FLOAT", [3], [0.1, 0.2, 0.3]),
            "w": ("FLOAT", [3, 1], [1.0, 2.0, 3.0]),
        },
    )


def test_a_saved_model(inspected, exported):
    found = inspected(models.vocabulary_lookup)
    path = exported(models.vocabulary_lookup)
    assert (found["path"], found["model"], found["version"]) == (str(path), "vocabulary_lookup", 1)
    assert found["format"] == "SavedModel"
    assert found["size_bytes"] == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert found["facts"]["exported by"].startswith("TensorFlow 2.")
    assert found["facts"]["tags"] == "serve"
    (signature,) = found["signatures"].values()
    assert signature["inputs"] == {
        "words": {"dtype": "string", "shape": [-1], "tensor": "serving_default_words:0"},
    }
    assert (signature["method_name"], signature["can_batch"]) == ("tensorflow/serving/predict", True)
    (asset,) = found["assets"]
    assert asset == {"name": "assets/vocabulary.txt", "size_bytes": len("\n".join(models.VOCABULARY))}
    assert found["tables"] == [
        {"name": "hash_table", "op": "HashTableV2", "entries": 4, "source": "vocabulary.txt"},
    ]
    assert found["preprocessing"] == [{"what": "looks up tables", "how": ["LookupTableFindV2"]}]
    counts = {each["op"]: each["count"] for each in found["ops"]}
    assert counts["LookupTableFindV2"] == 1
    assert "SaveV2" not in counts, "only what the signatures run"


def test_a_table_of_constants(inspected):
    (table,) = inspected(constant_table)["tables"]
    assert (table["entries"], table["source"]) == (3, "constants in the graph")


def test_preprocessing_of_a_saved_model(inspected):
    steps = {each["what"]: each["how"] for each in inspected(preprocessing_tf)["preprocessing"]}
    assert steps == {
        "decodes images": ["DecodePng"],
        "resizes images": ["ResizeBilinear"],
        "transforms strings": ["StaticRegexReplace", "StringLower"],
        "hashes strings": ["StringToHashBucketFast"],
        "rescales numbers": ["rescaling: plus -0.5", "rescaling: times 0.00392157"],
    }


def test_unsafe_ops_are_told(inspected):
    warnings = {each["op"]: each["warning"] for each in inspected(unsafe_tf)["ops"] if each["warning"]}
    assert warnings == {
        "PyFunc": "calls Python of the process that exported the model, and fails in any other; only served with "
        "--allow_unsafe_ops",
        "WriteFile": "writes files on the server's machine; no signature runs it",
    }
    for export in (models.asset_reader, models.vocabulary_lookup, models.half_plus_two, models.mlp):
        assert not [each for each in inspected(export)["ops"] if each["warning"]], export


def test_tf1_signatures_tell_what_takes_examples(inspected):
    signatures = inspected(models.half_plus_two)["signatures"]
    assert {name for name, each in signatures.items() if each["takes_examples"]} == {
        *("classify_x_to_y", "regress_x_to_y", "regress_x_to_y2"),
    }
    assert not signatures["regress_x_to_y"]["can_batch"]
    assert signatures["regress_x_to_y"]["inputs"]["inputs"]["shape"] is None
    requests = signatures["regress_x_to_y"]["requests"]
    assert requests["curl"].endswith("/v1/models/half_plus_two:regress")
    assert "RegressionRequest" in requests["grpc"]
    assert requests["python"] == ""


def test_an_onnx_model(inspected):
    found = inspected(onnx_models.half_plus_two)
    assert found["format"] == "ONNX model"
    assert found["facts"] == {"exported by": "unstuck.testing", "opset": "ai.onnx 18", "IR version": "9"}
    (signature,) = found["signatures"].values()
    assert signature["inputs"] == {"x": {"dtype": "float", "shape": [-1, 1], "tensor": "x"}}
    assert [(each["op"], each["count"]) for each in found["ops"]] == [("Mul", 1), ("Add", 1)]
    assert found["preprocessing"] == [], "a model of two weights scales nothing before them"


def test_preprocessing_of_an_onnx_model(inspected):
    assert inspected(scaled_onnx)["preprocessing"] == [
        {"what": "rescales numbers", "how": ["image: Div with a constant", "image: Sub with a constant"]},
    ]
    assert inspected(onnx_models.multi_io)["preprocessing"][0]["how"] == ["StringNormalizer"]


@pytest.mark.parametrize(
    ("export", "op", "says"),
    [
        (onnx_models.noise, "RandomNormalLike", "draws random numbers"),
        (onnx_models.custom_op, "acme.ops.Foo", "custom op of acme.ops"),
    ],
)
def test_unsafe_ops_of_onnx_are_told(inspected, export, op, says):
    (warned,) = [each for each in inspected(export)["ops"] if each["warning"]]
    assert warned["op"] == op
    assert says in warned["warning"]


def test_weights_outside_of_an_onnx_file(inspected, exported):
    found = inspected(onnx_models.external_weights)
    assert found["assets"] == [{"name": "weights.bin", "size_bytes": 4000}]
    (exported(onnx_models.external_weights) / "weights.bin").unlink()
    assert inspected(onnx_models.external_weights)["facts"]["missing"].startswith("weights.bin: ")


@pytest.mark.parametrize(
    "export", [models.multi_io, models.half_plus_two, models.complex_output, unsafe_tf, onnx_models.label_and_map]
)
def test_text_fits_80_columns(exported, capsys, export):
    path = exported(export)
    assert main(["inspect", f"m={path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path)
    about = lines[: lines.index(next(line for line in lines if line.startswith("Call ")))]
    assert max(len(line) for line in about[1:]) <= 80
    assert not [line for line in lines if "\x1b" in line], "plain"


def test_what_the_author_wrote_cannot_command_the_terminal(tmp_path, capsys):
    path = onnx_models._save(
        tmp_path / "m",
        1,
        [("Identity", "x'\x1b[31m;", "y", {})],
        {"x'\x1b[31m;": ("FLOAT", ["n"])},
        {"y": ("FLOAT", ["n"])},
    )
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "x'\\x1b[31m;: float [-1]" in out


def test_a_path_finds_its_newest_version_and_a_file_itself(tmp_path, capsys):
    onnx_models.half_plus_two(tmp_path / "m", 2)
    newest = onnx_models.half_plus_two(tmp_path / "m", 10)
    for given in (tmp_path / "m", newest, newest / "model.onnx"):
        assert main(["inspect", str(given)]) == 0
        assert "  ONNX model: model m, version 10, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "unstuck inspect: Expected one path or URL, got 0."),
        (["/a", "/b"], "unstuck inspect: Expected one path or URL, got 2."),
        (["/a", "--jsn"], "unstuck inspect: Unknown flag --jsn. Did you mean --json?"),
        (["/no/such"], "unstuck inspect: /no/such is not a folder. / exists and has"),
        (
            ["http://localhost/v2/m"],
            "unstuck inspect: http://localhost/v2/m is not a model's URL. Expected http://HOST",
        ),
        (["http://127.0.0.1:1/v1/models/m"], "/v1/models/m/metadata cannot be read: [Errno 111] Connection refused."),
    ],
)
def test_it_says_what_is_wrong(arguments, says, capsys):
    assert main(["inspect", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("saved_model.pb", b"\x89PNG", "has no readable saved_model.pb"),
        ("saved_model.pb", b"", "holds no graph: the file is empty"),
        ("model.onnx", b"\x89PNG", "is not an ONNX model"),
        ("other.txt", b"", "holds no model of a format that is known: tensorflow, onnx, tflite."),
    ],
)
def test_files_that_are_no_model(tmp_path, capsys, name, content, says):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / name).write_bytes(content)
    assert main(["inspect", str(tmp_path)]) == 1
    assert says in capsys.readouterr().err


def test_help(capsys):
    assert main(["inspect", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: unstuck inspect PATH")
    assert max(map(len, out.splitlines())) <= 80
    assert main(["inspct", "/m"]) == 2
    assert "Did you mean 'inspect'?" in capsys.readouterr().err


@pytest.mark.parametrize("export", [models.mlp, onnx_models.half_plus_two])
def test_nothing_heavy_is_imported(exported, export):
    script = f"""
import contextlib, io, sys
from unstuck.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    assert main(["inspect", {str(exported(export))!r}]) == 0
print(sorted({{"tensorflow", "onnxruntime", "onnx", "granian", "grpc", "uvloop"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def spec(alias, dtype, *shape):
    return TensorSpec(alias, f"{alias}:0", dtype, shape)


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([spec("x", FLOAT, None, 3)], [spec("y", FLOAT, None)], ""),
        ([spec("x", FLOAT, 1, 3)], [spec("y", FLOAT, None)], "x float [1,3] has no open first dimension"),
        ([spec("x", FLOAT, None)], [spec("y", FLOAT)], "y float [] has no open first dimension"),
        ([], [spec("y", FLOAT, None)], "it has no inputs"),
    ],
)
def test_why_not_batched(inputs, outputs, reason):
    by_alias = ({each.alias: each for each in specs} for specs in (inputs, outputs))
    assert why_not_batched(Signature("s", *by_alias)) == reason


def test_several_graphs_and_none_with_the_tags(tmp_path):
    from unstuck.engines.tensorflow import ENGINE
    from unstuck.proto.wire.saved_model_pb2 import MetaGraphDef, SavedModel

    graphs = [MetaGraphDef(meta_info_def=MetaGraphDef.MetaInfoDef(tags=tags)) for tags in (["train"], ["serve", "gpu"])]
    (tmp_path / "saved_model.pb").write_bytes(SavedModel(meta_graphs=graphs).SerializeToString())
    with pytest.raises(LoadFailed, match="no graph with the tags 'serve'; it has train or gpu,serve"):
        ENGINE.inspect(tmp_path)
    assert main(["inspect", str(tmp_path), "--saved_model_tags=gpu,serve"]) == 0


@pytest.mark.parametrize("export", [models.half_plus_two, onnx_models.multi_io], ids=lambda export: export.__name__)
def test_files_with_wrong_bytes_are_read_or_refused(exported, tmp_path, capsys, export):
    """An inspection is for files that are not trusted yet: it ends, with an inspection or one message."""
    rng = random.Random(7)
    (file,) = [file for file in exported(export).iterdir() if file.name in ("saved_model.pb", "model.onnx")]
    for _ in range(150):
        content = bytearray(file.read_bytes())
        for _ in range(rng.choice([1, 2, 8])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / file.name).write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        assert main(["inspect", str(tmp_path)]) in (0, 1)
        assert capsys.readouterr().err.count("\n") <= 1


def test_a_graph_in_a_circle_ends(tmp_path, capsys):
    path = onnx_models._save(
        tmp_path / "m", 1, [("Identity", "x", "x", {})], {"x": ("FLOAT", ["n"])}, {"x": ("FLOAT", ["n"])}
    )
    assert main(["inspect", str(path)]) == 0
    assert "Identity 1" in capsys.readouterr().out


def test_a_signature_without_inputs_is_called_over_grpc_only(inspected):
    requests = inspected(models.counter)["signatures"]["get_counter"]["requests"]
    assert (requests["curl"], requests["python"]) == ("", "")
    assert 'signature_name = "get_counter"' in requests["grpc"]
