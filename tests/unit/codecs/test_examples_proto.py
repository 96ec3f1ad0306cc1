"""The messages of Classify, Regress and MultiInference against tensorflow-serving-api's own, both ways."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.example.example_pb2 import Example
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest, ClassificationResponse
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from tests.unit.proto.official import random_message
from unstuck.codecs import examples_proto
from unstuck.codecs.examples_proto import MultiInferenceEncoder, Source
from unstuck.core.models import ModelSpec
from unstuck.errors import Code, InvalidRequest, UnreadableMessage, UnwritableOutput
from unstuck.proto.wire import inference_pb2

KINDS = pytest.mark.parametrize("kind", [ClassificationRequest, RegressionRequest], ids=lambda kind: kind.__name__)
SOURCE = Source("m", 7, "classify_x")


def ours(kind):
    return getattr(inference_pb2, kind.__name__)


def example(**features) -> Example:
    made = Example()
    for name, values in features.items():
        feature = made.features.feature[name]
        listed = values if isinstance(values, list) else [values]
        (feature.bytes_list if isinstance(listed[0], bytes) else feature.float_list).value.extend(listed)
    return made


def request(kind, examples=(), context=None, **fields):
    """An official message of ``kind``; with ``context``, a list with context."""
    made = kind()
    made.model_spec.name = fields.pop("name", "m")
    if "version" in fields:
        made.model_spec.version.value = fields.pop("version")
    for field, value in fields.items():
        setattr(made.model_spec, field, value)
    add(made.input, examples, context)
    return made


def add(input_, examples, context):
    if context is None:
        input_.example_list.examples.extend(examples)
    else:
        input_.example_list_with_context.context.CopyFrom(context)
        input_.example_list_with_context.examples.extend(examples)


def parsed(kind, *args, **fields):
    return examples_proto.parse(ours(kind), request(kind, *args, **fields).SerializeToString())


ONE, TWO, WIDE = example(x=1.0), example(x=[2.0, 3.0]), example(text=[b"a", b"\xff\0"])


@KINDS
@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({}, ModelSpec("m")),
        ({"version": 0}, ModelSpec("m", version=0)),
        ({"version_label": "canary"}, ModelSpec("m", label="canary")),
    ],
)
def test_a_request_says_what_it_asks_for(kind, fields, want):
    got = parsed(kind, [ONE, Example(), WIDE], signature_name="s", **fields)
    assert (got.spec, got.signature_name) == (want, "s")
    assert got.examples == [each.SerializeToString() for each in (ONE, Example(), WIDE)]


@KINDS
def test_examples_may_be_missing_in_several_ways(kind):
    unset = kind()
    unset.model_spec.name = "m"
    assert examples_proto.parse(ours(kind), unset.SerializeToString()).examples == []
    assert parsed(kind).examples == []
    assert parsed(kind, context=ONE).examples == []


@KINDS
@pytest.mark.parametrize(
    ("context", "one", "merged"),
    [
        (example(x=1.0), Example(), {"x": [1.0]}),
        (Example(), example(x=1.0), {"x": [1.0]}),
        (example(x=1.0), example(y=2.0), {"x": [1.0], "y": [2.0]}),
        (example(x=[1.0, 2.0]), example(x=3.0), {"x": [3.0]}),
    ],
    ids=["context alone", "no context", "other features", "the same feature"],
)
def test_each_example_comes_behind_the_context(kind, context, one, merged):
    """The bytes of both in a row, as InputToSerializedExampleTensor writes them: read, the example's features win."""
    got = parsed(kind, [one, one], context).examples
    assert got == [context.SerializeToString() + one.SerializeToString()] * 2
    features = Example.FromString(got[0]).features.feature
    assert {name: list(feature.float_list.value) for name, feature in features.items()} == merged


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(0, 4), st.booleans())
def test_any_examples_are_handed_on_as_tensorflow_serving_does(seed, count, with_context):
    rng = random.Random(seed)
    examples = [random_message(Example.DESCRIPTOR, rng) for _ in range(count)]
    context = random_message(Example.DESCRIPTOR, rng) if with_context else None
    shared = context.SerializeToString() if with_context else b""
    got = parsed(ClassificationRequest, examples, context).examples
    assert len(got) == count
    for sent, each in zip(examples, got, strict=True):
        assert Example.FromString(each) == Example.FromString(shared + sent.SerializeToString())


def test_fields_of_a_later_release_stay_in_the_examples():
    later = Example.FromString(ONE.SerializeToString() + b"\xfa\x7f\x03new")
    (got,) = parsed(RegressionRequest, [later]).examples
    assert got.endswith(b"\xfa\x7f\x03new")


@KINDS
@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (lambda kind: b"", "Missing ModelSpec"),
        (lambda kind: kind(input=request(kind, [ONE]).input).SerializeToString(), "Missing ModelSpec"),
        (lambda kind: request(kind, [ONE], name="").SerializeToString(), "ModelSpec has no name"),
    ],
    ids=["nothing", "only examples", "no name"],
)
def test_a_request_that_names_no_model_is_refused(kind, payload, says):
    with pytest.raises(InvalidRequest, match=says):
        examples_proto.parse(ours(kind), payload(kind))


@KINDS
def test_bytes_that_are_no_request_are_told_as_such(kind):
    for payload in (b"\xff", b"{}", request(kind, [ONE]).SerializeToString()[:-1]):
        with pytest.raises(UnreadableMessage, match=f"not a tensorflow.serving.{kind.__name__}") as caught:
            examples_proto.parse(ours(kind), payload)
        assert caught.value.code is Code.INTERNAL
        with pytest.raises(UnreadableMessage, match="MultiInferenceRequest"):
            examples_proto.parse_tasks(b"\x0a\xff" + payload)


def test_tasks_and_the_examples_that_they_share():
    message = MultiInferenceRequest()
    for name, signature, method in (("m", "a", "classify"), ("n", "", "regress")):
        message.tasks.add(method_name=method).model_spec.name = name
        message.tasks[-1].model_spec.signature_name = signature
    message.tasks[0].model_spec.version.value = 3
    add(message.input, [ONE, WIDE], TWO)
    got = examples_proto.parse_tasks(message.SerializeToString())
    assert got.tasks == [(ModelSpec("m", version=3), "a", "classify"), (ModelSpec("n"), "", "regress")]
    assert got.examples == [TWO.SerializeToString() + each.SerializeToString() for each in (ONE, WIDE)]


def test_a_task_may_leave_its_model_out():
    """What that means is the use case's affair: it depends on the task before."""
    message = MultiInferenceRequest()
    message.tasks.add(method_name="regress")
    assert examples_proto.parse_tasks(message.SerializeToString()).tasks == [(ModelSpec(""), "", "regress")]


# Answers


def texts(rows):
    array = np.empty((len(rows), len(rows[0]) if rows else 0), object)
    for at, row in enumerate(rows):
        array[at, :] = row
    return array


def floats(rows, width=None):
    return np.array(rows, np.float32).reshape(len(rows), -1 if width is None else width)


def expected_classes(result, labels, scores):
    """Fills an official ClassificationResult as classifier.cc does."""
    result.SetInParent()
    for row in range(len(labels if labels is not None else scores)):
        classes = result.classifications.add()
        for column in range((labels if labels is not None else scores).shape[1]):
            one = classes.classes.add()
            if labels is not None:
                one.label = labels[row, column].decode()
            if scores is not None:
                one.score = scores[row, column]


def fill_spec(model_spec):
    model_spec.name, model_spec.signature_name = SOURCE.model, SOURCE.signature_name
    model_spec.version.value = SOURCE.version


CLASSES = [
    (texts([[b"dos", b"uno"], [b"cuatro", b""]]), floats([[2, 1], [4, 0]])),
    (texts([["größe\0".encode()]]), None),
    (None, floats([[-1, 0, 1], [-0.0, np.inf, 1e-45]])),
    (texts([[], []]), floats([[], []], 0)),
    (None, floats([], 3)),
]


@pytest.mark.parametrize(("labels", "scores"), CLASSES)
def test_classes_have_the_official_bytes(labels, scores):
    want = ClassificationResponse()
    fill_spec(want.model_spec)
    expected_classes(want.result, labels, scores)
    payload = examples_proto.encode_classes(SOURCE, labels, scores)
    assert ClassificationResponse.FromString(payload) == want
    assert payload == want.SerializeToString()


def test_not_a_number_is_a_score_like_any_other():
    payload = examples_proto.encode_classes(SOURCE, None, floats([[np.nan, 1]]))
    (row,) = ClassificationResponse.FromString(payload).result.classifications
    assert np.isnan(row.classes[0].score)
    assert row.classes[1].score == 1


@pytest.mark.parametrize("values", [[], [0], [2, -0.0, np.inf, 3.5]])
def test_values_have_the_official_bytes(values):
    want = RegressionResponse()
    fill_spec(want.model_spec)
    want.result.SetInParent()
    for value in values:
        want.result.regressions.add(value=value)
    payload = examples_proto.encode_values(SOURCE, np.array(values, np.float32))
    assert RegressionResponse.FromString(payload) == want
    assert payload == want.SerializeToString()


def test_the_results_of_several_tasks_have_the_official_bytes():
    encoder, want = MultiInferenceEncoder(), MultiInferenceResponse()
    for labels, scores in CLASSES:
        encoder.add_classes(SOURCE, labels, scores)
        added = want.results.add()
        fill_spec(added.model_spec)
        expected_classes(added.classification_result, labels, scores)
        encoder.add_values(SOURCE, np.array([1.5, 2], np.float32))
        added = want.results.add()
        fill_spec(added.model_spec)
        for value in (1.5, 2):
            added.regression_result.regressions.add(value=value)
    payload = encoder.encode()
    assert MultiInferenceResponse.FromString(payload) == want
    assert payload == want.SerializeToString()


def test_no_results_are_an_empty_message():
    assert MultiInferenceEncoder().encode() == b""


@pytest.mark.parametrize(
    ("label", "says"), [(b"\xff", "0xff at 0"), (b"ok\xc3", "0xc3 at 2"), (b"\xed\xa0\x80", "0xed at 0")]
)
def test_a_label_that_is_no_text_is_not_answered(label, says):
    encoder = MultiInferenceEncoder()
    labels = texts([[b"fine", label]])
    for encode in (examples_proto.encode_classes, encoder.add_classes):
        with pytest.raises(UnwritableOutput, match=f"not UTF-8.*{says}") as caught:
            encode(SOURCE, labels, None)
        assert "Predict" in caught.value.hint
