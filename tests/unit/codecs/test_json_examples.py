import contextlib
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unstuck.codecs.json_examples import encode_classes, encode_values, parse
from unstuck.errors import MalformedBody, UnwritableOutput, WrongType
from unstuck.proto.wire.example_pb2 import Example

INT64_MAX = 2**63 - 1


def request(body):
    return parse(body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode())


def features(body):
    """Each example's features by name, as whoever parses the bytes reads them: what they hold, and the elements."""
    return [
        {
            name: (kind := feature.WhichOneof("kind"), list(getattr(feature, kind).value) if kind else [])
            for name, feature in Example.FromString(example).features.feature.items()
        }
        for example in request(body).examples
    ]


def feature(text):
    """What ``text``, the JSON of one feature, becomes."""
    (example,) = features(f'{{"examples": [{{"f": {text}}}]}}')
    return example["f"]


def strings(*values):
    return "bytes_list", list(values)


def floats(*values):
    return "float_list", list(values)


def integers(*values):
    return "int64_list", list(values)


# The request


def test_examples_without_context():
    body = {
        "examples": [
            {"names": ["foo", "bar"], "ratings": [8.0, 9.0], "age": 20},
            {"names": ["baz"], "ratings": 6.0},
        ]
    }
    assert request(body).signature_name == ""
    assert features(body) == [
        {"names": strings(b"foo", b"bar"), "ratings": floats(8, 9), "age": integers(20)},
        {"names": strings(b"baz"), "ratings": floats(6)},
    ]


def test_examples_with_context_and_signature():
    body = """
    {
      "signature_name": "custom_signature",
      "context": {"query": "pizza", "location": ["sfo"]},
      "examples": [
        {"names": ["foo", "bar"], "ratings": [8.0, 9.0, Infinity], "age": 20},
        {"names": ["baz", {"b64": "aGVsbG8="}], "ratings": 6.0, "intboolmix": [1, true, false]},
        {"names": "bar", "ratings": -Infinity}
      ]
    }"""
    context = {"query": strings(b"pizza"), "location": strings(b"sfo")}
    assert request(body).signature_name == "custom_signature"
    assert features(body) == [
        {**context, "names": strings(b"foo", b"bar"), "ratings": floats(8, 9, math.inf), "age": integers(20)},
        {**context, "names": strings(b"baz", b"hello"), "ratings": floats(6), "intboolmix": integers(1, 1, 0)},
        {**context, "names": strings(b"bar"), "ratings": floats(-math.inf)},
    ]


def test_the_context_comes_first_and_its_features_give_way():
    body = {"context": {"a": 1, "b": 2.0}, "examples": [{"b": "own"}, {}, {"a": []}]}
    alone = request({"examples": [body["context"], *body["examples"]]}).examples
    assert request(body).examples == [alone[0] + example for example in alone[1:]]
    assert features(body) == [
        {"a": integers(1), "b": strings(b"own")},
        {"a": integers(1), "b": floats(2)},
        {"a": (None, []), "b": floats(2)},
    ]


def test_a_context_without_features_is_as_none():
    examples = [{"a": 1}, {}]
    assert request({"context": {}, "examples": examples}) == request({"examples": examples})
    assert request({"examples": [{}]}).examples == [b""]


@pytest.mark.parametrize("extra", [{"instances": 5}, {"inputs": [1]}, {"Context": {"a": 1}}, {"signature": None}])
def test_other_keys_do_not_matter(extra):
    assert request({"examples": [{"a": 1}], **extra}) == request({"examples": [{"a": 1}]})


def test_what_follows_the_document_does_not_matter():
    assert request(b'{"examples": [{"a": 1}]} \xff and more') == request({"examples": [{"a": 1}]})


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("1", integers(1)),
        ("-0", integers(0)),
        ("[true, -1, false]", integers(1, -1, 0)),
        ("true", integers(1)),
        (f"[{INT64_MAX}, {-INT64_MAX - 1}]", integers(INT64_MAX, -INT64_MAX - 1)),
        ("1.0", floats(1)),
        ("[1e0, -0.5]", floats(1, -0.5)),
        ("1E2", floats(100)),
        ("18446744073709551616", floats(2.0**64)),  # no integer type holds it, so it was read as a double
        ("[-9223372036854775809, 1.5]", floats(-(2.0**63), 1.5)),
        ("[1e39, -1e39, 1e-60]", floats(math.inf, -math.inf, 0)),
        ("0.1", floats(float(np.float32(0.1)))),
        ("[Infinity, -Infinity, Inf]", floats(math.inf, -math.inf, math.inf)),
        ('"text"', strings(b"text")),
        ('""', strings(b"")),
        ('"\\u00e9\\u0000\\ud83d\\ude00"', strings("é\0😀".encode())),
        ('{"b64": "AP8="}', strings(b"\0\xff")),
        ('[{"b64": "AP8"}, "AP8=", {"b64": ""}]', strings(b"\0\xff", b"AP8=", b"")),
        ("[]", (None, [])),
    ],
)
def test_what_a_feature_holds(text, held):
    assert feature(text) == held


@pytest.mark.parametrize("text", ["NaN", "[NaN]", "-NaN", "[-NaN]"])
def test_nan_is_a_float(text):
    kind, (value,) = feature(text)
    assert kind == "float_list"
    assert math.isnan(value)


def test_minus_zero_keeps_its_sign():
    assert str(feature("-0.0")) == str(floats(-0.0))


@pytest.mark.parametrize("name", ["", "a.b", "a b", "é", "a\0b", '"', "b64"])
def test_any_text_names_a_feature(name):
    assert features({"examples": [{name: "text"}]}) == [{name: strings(b"text")}]


# What is refused


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "JSON Parse error"),
        ('{"examples": [', "JSON Parse error"),
        ('{"examples": [{"a": 01}]}', "JSON Parse error"),
        ("[1]", "The body Is not object: expecting a JSON object with 'examples', got Array [1]"),
        ("null", "got Null null"),
        ({"signature_name": ["hello"], "examples": [{"a": 1}]},
         "'signature_name' key must be a string value, got Array [\"hello\"]"),
        ({"signature_name": None, "context": 5}, "'signature_name' key must be a string value, got Null null"),
        ({"context": [{"names": ["foo"]}]},
         'Example must be JSON object, one key a feature, but context is Array [{"names":["foo"]}]'),
        ({"context": None, "examples": [{"a": 1}]}, "but context is Null null"),
        ({}, "Key 'examples' is expected and was not found, got the keys []"),
        ({"signature_name": "s", "Examples": [{"a": 1}]}, "got the keys ['Examples', 'signature_name']"),
        ({"instances": [1.0]}, "'instances' and 'inputs' are for :predict. Send, for example:"),
        ({"examples": {"a": 1}}, "Expecting 'examples' value to be an list/array, got Object {\"a\":1}"),
        ({"examples": None}, "got Null null"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [[{"a": 1}]]},
         'Example must be JSON object, one key a feature, but examples[0] is Array [{"a":1}]'),
        ({"examples": [{"a": 1}, 2.5]}, "but examples[1] is Number 2.5"),
        ({"examples": [{"a": 1}, None]}, "but examples[1] is Null null"),
    ],
)  # fmt: skip
def test_malformed_bodies(body, says):
    with pytest.raises(MalformedBody, match=re.escape(says)) as caught:
        request(body)
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[10, null]", ["examples[1].names[1] is Null null", "'names' has element with unexpected JSON type: Null"]),
        ("null", ["examples[1].names is Null null", "'names' has element with unexpected JSON type: Null"]),
        ('[10, {"test": 10}]',
         ['examples[1].names[1] is Object {"test":10}', "unexpected JSON type: Object", '{"b64": "<base64>"}']),
        ('{"b64": 5}', ['examples[1].names is Object {"b64":5}', "unexpected JSON type: Object"]),
        ('["a", {"b64": "AA==", "c": 1}]', ["examples[1].names[1] is Object", "unexpected JSON type: Object"]),
        ("{}", ["examples[1].names is Object {}", "unexpected JSON type: Object"]),
        ("[[10], 20]", ["examples[1].names[0] is Array [10]", "unexpected JSON type: Array"]),
        ("[[]]", ["examples[1].names[0] is Array []", "unexpected JSON type: Array"]),
        ("[10, 10.0]", ["examples[1].names[1] is Number 10.0", "element type float", "expecting type: int64",
                        "first element is Number 10", "1 is an int64 and 1.0 is a float"]),
        ("[8.5, 9]", ["examples[1].names[1] is Number 9", "element type int64", "expecting type: float",
                      "first element is Number 8.5", "1 is an int64 and 1.0 is a float"]),
        ("[1.5, true]", ["examples[1].names[1] is Bool true", "element type int64", "expecting type: float"]),
        ("[false, 1.5]", ["examples[1].names[1] is Number 1.5", "element type float", "expecting type: int64"]),
        ('["a", 1, 2.0]', ["examples[1].names[1] is Number 1", "element type int64", "expecting type: bytes"]),
        ('[1.0, 2.0, "a"]', ['examples[1].names[2] is String "a"', "element type bytes", "expecting type: float"]),
        ('[1, {"b64": "AA=="}]', ["examples[1].names[1] is Object", "element type bytes", "expecting type: int64"]),
        ("[20, 18446744073709551603]",
         ["examples[1].names[1] is Number 18446744073709551603", "'names' has uint64 element",
          "only int64 is supported"]),
        ("9223372036854775808", ["examples[1].names is Number 9223372036854775808", "only int64 is supported"]),
        ('{"b64": "AP8=!"}', ['examples[1].names is Object {"b64":"AP8=!"}', "not formatted correctly for base64"]),
        ('["a", {"b64": "A"}]', ['examples[1].names[1] is Object {"b64":"A"}', "base64 data"]),
    ],
)  # fmt: skip
def test_features_that_no_example_can_hold(text, says):
    with pytest.raises(WrongType) as caught:
        request(f'{{"examples": [{{"ok": 1}}, {{"ok": 1.0, "names": {text}}}]}}')
    assert [words for words in says if words not in str(caught.value)] == []
    assert caught.value.http_status == 400


def test_the_hint_about_points_is_for_integers_among_floats_only():
    for text, hinted in [("[1, 1.0]", True), ("[1.0, 1]", True), ("[true, 1.0]", False), ("[1, null]", False)]:
        with pytest.raises(WrongType) as caught:
            feature(text)
        assert ("1.0 is a float" in caught.value.hint) == hinted


def test_a_context_is_held_to_the_same():
    with pytest.raises(WrongType, match=re.escape("context.a[1] is Number 2.5")):
        request({"context": {"a": [1, 2.5]}, "examples": [{}]})


def test_the_context_is_refused_before_the_examples():
    with pytest.raises(WrongType, match=re.escape("context.a is Null")):
        request({"context": {"a": None}, "examples": [{"a": None}]})


def test_the_first_fault_in_a_feature_is_the_one_said():
    with pytest.raises(WrongType, match=re.escape("[1] is Number 18446744073709551603")):
        feature('[1, 18446744073709551603, "a", null]')


def test_a_deeply_nested_feature_is_refused():
    with pytest.raises(WrongType, match="unexpected JSON type: Array"):
        feature("[" * 100_000 + "]" * 100_000)


names = st.text(max_size=3)
contents = st.one_of(
    st.lists(st.integers(-(2**63), INT64_MAX) | st.booleans(), min_size=1, max_size=4),
    st.lists(st.floats(), min_size=1, max_size=4),
    st.lists(st.text(max_size=4), min_size=1, max_size=4),
    st.just([]),
    st.integers(-(2**63), INT64_MAX) | st.booleans() | st.floats() | st.text(max_size=4),
)
rows = st.dictionaries(names, contents, max_size=3)


def held_by(content):
    """The definition: what a feature of this content holds."""
    values = content if isinstance(content, list) else [content]
    if not values:
        return None, []
    if isinstance(values[0], str):
        return strings(*(value.encode() for value in values))
    if isinstance(values[0], int):
        return integers(*(int(value) for value in values))
    with np.errstate(over="ignore"):
        return floats(*np.array(values, np.float32).tolist())


@given(rows | st.none(), st.lists(rows, min_size=1, max_size=3), names)
def test_every_example_is_its_features_over_those_of_the_context(context, examples, signature_name):
    body = {"signature_name": signature_name, "examples": examples} | ({} if context is None else {"context": context})
    want = [{name: held_by(content) for name, content in {**(context or {}), **row}.items()} for row in examples]
    assert request(body).signature_name == signature_name
    assert repr([sorted(row.items()) for row in features(body)]) == repr([sorted(row.items()) for row in want])


elements = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=2)
    | st.sampled_from([{"b64": "AP8="}, {"b64": "A"}, {"b64": 1}, {}, [], [1], {"a": 1}])
)  # fmt: skip


def kind_of(value):
    """What a tf.Example holds ``value`` in, and None if in nothing."""
    if isinstance(value, int):
        return "int64" if value <= INT64_MAX else None
    if isinstance(value, float):
        return "float"
    return "bytes" if isinstance(value, str) or value == {"b64": "AP8="} else None


@given(st.lists(elements, max_size=4))
def test_a_feature_is_taken_if_and_only_if_it_is_of_one_kind(values):
    text = json.dumps(values)
    if values and (len(kinds := {kind_of(value) for value in values}) > 1 or None in kinds):
        with pytest.raises(WrongType, match=r"^examples\[0\]\.f\[[0-9]+\] is .* feature 'f'"):
            feature(text)
    else:
        assert len(feature(text)[1]) == len(values)


anything = st.recursive(
    elements, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)


@given(anything, anything, anything)
def test_whatever_comes_is_taken_or_refused_with_400(signature_name, context, examples):
    for body in (
        {"signature_name": signature_name, "context": context, "examples": examples},
        {"context": context, "examples": [examples]},
        {"examples": examples},
        {"examples": [examples]},
        examples,
    ):
        with contextlib.suppress(MalformedBody, WrongType):
            assert len(request(body).examples) == len(body["examples"])


# The answer


def labels(*examples):
    array = np.empty((len(examples), len(examples[0])), object)
    array[:] = examples
    return array


def scores(*examples):
    return np.array(examples, np.float32)


@pytest.mark.parametrize(
    ("given_labels", "given_scores", "body"),
    [
        (labels([b"car", b"bike", b"bus"], [b"car", b"bike", b"bus"]), scores([0.2, 0.7, 0.1], [0.7, 0.1, 0.2]),
         '{"results":[[["car",0.2],["bike",0.7],["bus",0.1]],[["car",0.7],["bike",0.1],["bus",0.2]]]}'),
        (None, scores([3.0]), '{"results":[[["",3.0]]]}'),
        (labels([b"a", b"b"], [b"c", b""]), None, '{"results":[[["a",0.0],["b",0.0]],[["c",0.0],["",0.0]]]}'),
        (labels(["né\"w\n".encode()]), scores([1]), '{"results":[[["né\\"w\\n",1.0]]]}'),
        (None, scores([np.nan, 1], [np.inf, -np.inf]),
         '{"results":[[["",NaN],["",1.0]],[["",Infinity],["",-Infinity]]]}'),
        (labels([b"null"]), scores([np.nan]), '{"results":[[["null",NaN]]]}'),
        (labels([], []), np.empty((2, 0), np.float32), '{"results":[[],[]]}'),
        (None, np.empty((1, 0), np.float32), '{"results":[[]]}'),
        (labels([], []), None, '{"results":[[],[]]}'),
    ],
)  # fmt: skip
def test_classes(given_labels, given_scores, body):
    assert encode_classes(given_labels, given_scores).decode() == body


def test_classes_of_arrays_that_are_not_contiguous():
    both = labels([b"a", b"b"], [b"c", b"d"]).T, scores([1, 2], [3, 4]).T
    assert encode_classes(*both) == b'{"results":[[["a",1.0],["c",3.0]],[["b",2.0],["d",4.0]]]}'


@pytest.mark.parametrize(
    ("values", "body"),
    [
        ([0.2, 0.9, 1.0], b'{"results":[0.2,0.9,1.0]}'),
        ([0.2, np.inf, 1.0, -np.inf, np.nan], b'{"results":[0.2,Infinity,1.0,-Infinity,NaN]}'),
        ([42], b'{"results":[42.0]}'),
        ([-0.0, 9e6], b'{"results":[-0.0,9000000.0]}'),
    ],
)
def test_values(values, body):
    assert encode_values(np.array(values, np.float32)) == body


def test_values_of_an_array_that_is_not_contiguous():
    assert encode_values(np.arange(6, dtype=np.float32)[::2]) == b'{"results":[0.0,2.0,4.0]}'


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda: encode_classes(np.empty((0, 2), object), None), "Cannot convert empty ClassificationResults to JSON"),
        (lambda: encode_classes(None, np.empty((0, 3), np.float32)), "empty ClassificationResults"),
        (lambda: encode_classes(None, None), "empty ClassificationResults"),
        (lambda: encode_values(np.empty(0, np.float32)), "Cannot convert empty RegressionResults to JSON"),
        (lambda: encode_classes(labels([b"a", b"b"], [b"c", b"ok\xff"]), None),
         "Label 1 of example 1 in output 'classes' holds bytes that are not UTF-8 text (0xff at 2)."),
        (lambda: encode_classes(labels([b"\xed\xa0\x80"]), scores([1])), "0xed at 0"),
    ],
)  # fmt: skip
def test_what_json_cannot_hold(write, says):
    with pytest.raises(UnwritableOutput, match=re.escape(says)) as caught:
        write()
    assert caught.value.http_status == 400
    assert ("_bytes" in caught.value.hint) == ("Label" in says or "0xed" in says)


def results_of(body):
    """The answer's results; a number without a point and an exponent fails."""

    def refuse(digits):
        raise AssertionError(f"{digits} is an integer")

    return json.loads(body, parse_int=refuse)["results"]


def check_floats(got, want):
    """Fails where two arrays of float32 differ, be it in the sign of a zero."""
    got = np.array(got, np.float64).astype(np.float32).reshape(want.shape)
    np.testing.assert_array_equal(got, want)
    zeros = want == 0
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(want[zeros]))


float32s = st.floats(width=32)


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=4), elements=float32s), st.data())
def test_classes_come_back_as_they_were(array, data):
    drawn = data.draw(st.lists(st.text(max_size=3), min_size=array.size, max_size=array.size))
    texts = [drawn[start : start + array.shape[1]] for start in range(0, array.size, array.shape[1])]
    both = results_of(encode_classes(labels(*([text.encode() for text in row] for row in texts)), array))
    assert [[label for label, _ in row] for row in both] == texts
    check_floats([[score for _, score in row] for row in both], array)
    alone = results_of(encode_classes(None, array))
    assert {label for row in alone for label, _ in row} == {""}
    check_floats([[score for _, score in row] for row in alone], array)


@given(arrays(np.float32, st.integers(1, 20), elements=float32s))
def test_values_come_back_as_they_were(array):
    check_floats(results_of(encode_values(array)), array)
