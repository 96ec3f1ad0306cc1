"""A pipeline file with faults is refused in one message that has each of them: its line, its place, what is wrong."""

import pytest

from unstuck.pipeline import schema
from unstuck.pipeline.document import PipelineError, read_pipeline

FILE = """\
signatures:
  serving_default:
    raw:
      x: {dtype: float, shape: [3]}
      text: {dtype: string}
    inputs:
      ids:
        from: text
        steps:
          - lowercase
          - vocabulary: {tokens: [no, yes], unknown: 2}
      x: x
"""
INPUTS = "signatures.serving_default.inputs"


@pytest.fixture
def read(tmp_path):
    def pipeline(content):
        path = tmp_path / "pipeline.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_pipeline(path)

    return pipeline


def fault(read, content):
    with pytest.raises(PipelineError) as caught:
        read(content)
    assert "pipeline.yaml" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")
    return caught.value.message


def test_a_file_without_faults_is_read(read):
    declared = read(FILE).signatures["serving_default"]
    assert declared.raw["x"].shape == [3]
    assert declared.inputs["ids"].steps[1].tokens == ["no", "yes"]
    assert declared.inputs["x"].from_ == "x"


def test_the_example_in_the_documentation_is_read(read):
    assert read(schema.__doc__.split("\n", 2)[2]).signatures["serving_default"].outputs


# What is replaced in the file, by what, and what is said.
FAULTS = {
    "a step that there is not": ("- lowercase", "- lowercsae", f"line 10, {INPUTS}.ids.steps.0: there is no step"),
    "the nearest step": ("- lowercase", "- lowercsae", "'lowercsae'; did you mean 'lowercase'?"),
    "a setting that there is not": (
        "unknown: 2",
        "unknown: 2, size: 1",
        "line 11, {}.ids.steps.1: vocabulary: size: extra",
    ),
    "a setting left out": (", unknown: 2", "", "{}.ids.steps.1: vocabulary: unknown: field required"),
    "a setting of another kind": (
        "unknown: 2",
        "unknown: two",
        "{}.ids.steps.1: vocabulary: unknown: expected an integer",
    ),
    "settings that are none": (
        "- lowercase",
        "- cast: int64",
        "{}.ids.steps.0: cast: input should be a valid dictionary",
    ),
    "a step that is none": ("- lowercase", "- [lowercase]", "{}.ids.steps.0: expected a step: its name, or"),
    "two steps in one": ("- lowercase", "- {lowercase: , strip: }", "{}.ids.steps.0: expected a step: its name, or"),
    "no list of steps": ("steps:\n          - lowercase\n          - vocabulary", "steps", "line 9, {}.ids.steps: "),
    "neither tokens nor file": (
        "tokens: [no, yes], ",
        "",
        "vocabulary: expected either tokens or integers or file or asset",
    ),
    "both tokens and file": (
        "unknown: 2",
        "unknown: 2, file: a",
        "vocabulary: expected either tokens or integers or file or asset",
    ),
    "boundaries not ascending": (
        "- lowercase",
        "- bucketize: {boundaries: [2, 1]}",
        "bucketize: expected boundaries in asc",
    ),
    "no boundaries": (
        "- lowercase",
        "- bucketize: {boundaries: []}",
        "bucketize: boundaries: list should have at least 1",
    ),
    "a separator of characters": (
        "- lowercase",
        "- split: {into: characters, separator: x}",
        "split: expected no separator",
    ),
    "two open sizes": (
        "- lowercase",
        "- reshape: {shape: [-1, -1]}",
        "reshape: shape: expected -1 for one size at most",
    ),
    "a size below": (
        "- lowercase",
        "- reshape: {shape: [-2]}",
        "reshape: shape.0: input should be greater than or equal",
    ),
    "no buckets": ("- lowercase", "- hash: {buckets: 0}", "hash: buckets: input should be greater than 0"),
    "truth for a number": ("- lowercase", "- pad: {length: 1, value: true}", "pad: value: expected a number or text"),
    "text for a mean": (
        "- lowercase",
        "- z_score: {mean: x, std: 1}",
        "z_score: mean: expected a number or a list of numbers",
    ),
    "a dtype that there is not": (
        "dtype: float",
        "dtype: flaot",
        "line 4, signatures.serving_default.raw.x.dtype: there is",
    ),
    "a dtype of no arrays": ("dtype: float", "dtype: resource", "raw.x.dtype: there is no dtype 'resource'"),
    "a size of no kind": (
        "shape: [3]",
        "shape: [-2]",
        "line 4, signatures.serving_default.raw.x.shape.0: input should be",
    ),
    "no dtype": ("dtype: string", "", "line 5, signatures.serving_default.raw.text: dtype is required"),
    "no raw inputs": (
        "    raw:\n      x: {dtype: float, shape: [3]}\n      text: {dtype: string}\n",
        "",
        "default: raw is required",
    ),
    "no inputs": (FILE[FILE.index("    inputs") :], "", "line 3, signatures.serving_default: inputs is required"),
    "no outputs": (
        "    raw:",
        "    outputs: {}\n    raw:",
        "line 3, signatures.serving_default.outputs: expected at least",
    ),
    "another key": (
        "    raw:",
        "    rows: 1\n    raw:",
        "line 3, signatures.serving_default.rows: extra inputs are not",
    ),
    "concat and from": (
        "x: x",
        "x: {from: x, concat: [x]}",
        "line 12, {}.x: expected one of from, concat, stack and con",
    ),
    "no source": ("x: x", "x: {steps: []}", "line 12, {}.x: expected one of from, concat, stack and constant"),
    "an empty concat": ("x: x", "x: {concat: []}", "line 12, {}.x.concat: list should have at least 1 item"),
    "a fault in a part": (
        "x: x",
        "x:\n        concat:\n          - x\n          - {from: x, steps: [lgo]}",
        "line 15, {}.x.concat.1.steps.0: there is no step 'lgo'",
    ),
    "a constant of two kinds": ("x: x", "x: {constant: [1, a]}", "line 12, {}.x.constant: expected a number, text, or"),
    "a constant that is true": ("x: x", "x: {constant: true}", "line 12, {}.x.constant: expected a number, text, or"),
    "a name twice": ("x: x", "x: x\n      x: {from: text}", "line 13, {}.x: it is there twice"),
    "a name that is none": ("x: x", "1: x", "line 12, {}.1: input should be a valid string"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_said_with_its_line_and_place(read, what):
    old, new, says = FAULTS[what]
    assert FILE.count(old) == 1
    assert says.replace("{}", INPUTS) in fault(read, FILE.replace(old, new))


def test_several_faults_are_all_said_and_each_once(read):
    faulty = FILE
    for old, new in (("float", "flaot"), ("- lowercase", "- {lower: }"), ("x: x", "x: {constant: {a: 1}}\n      x: 1")):
        faulty = faulty.replace(old, new)
    said = fault(read, faulty).split("; line ")
    assert sorted(int(part.split("line ")[-1].split(",")[0]) for part in said) == [4, 10, 12, 13]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1, the document: input should be a valid dictionary"),
        ("- 1", "line 1, the document: input should be a valid dictionary"),
        ("signatures: {}", "line 1, signatures: dictionary should have at least 1 item"),
        ("signatures:\n  a:\n", "line 2, signatures.a: input should be a valid dictionary"),
        ("signatures:\n\t- a", "cannot be read: while scanning for the next token found character '\\t' that cannot"),
        ("a: [", "cannot be read: while parsing a flow node"),
        ("a: 1\n---\nb: 2", "cannot be read: expected a single document"),
        ("[a]: {[b]: c}", "cannot be read: while constructing a mapping"),
        ("a: !!python/object/apply:os.getcwd []", "cannot be read: could not determine a constructor"),
        ("[" * 5000, "cannot be read: maximum recursion depth"),
        ("signatures: &a {a: *a}", "signatures.a: raw is required"),
        (b"signatures: \xff", "cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_what_is_no_pipeline_is_refused(read, content, says):
    assert says in fault(read, content)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"no\.yaml cannot be read: .*No such file"):
        read_pipeline(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 1e-3),
        ("-1.5E+3", -1500.0),
        ("1", 1),
        (".inf", float("inf")),
        ("no", "no"),
        ("On", "On"),
        ("é", "é"),
        ("2024-13-45", "2024-13-45"),
        ("=", "="),
        ("'1e3'", "1e3"),
        ("[1, 2.5]", [1.0, 2.5]),
        ("[y, n]", ["y", "n"]),
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(read, written, value):
    declared = read(FILE.replace("x: x", f"x: {{constant: {written}}}")).signatures["serving_default"]
    assert declared.inputs["x"].constant == value
    assert type(declared.inputs["x"].constant) is type(value)
