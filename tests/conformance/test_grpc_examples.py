"""Classify, Regress and MultiInference through the official stubs: TensorFlow Serving's own tests, and the refusals."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from grpc_wire import (
    CLASSIFY,
    REGRESS,
    Case,
    Refusal,
    ask,
    call,
    check_refusal,
    check_warning,
    classify,
    example,
    example_list,
    infer,
    params,
    regress,
    spec,
    with_context,
)
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

HALF, TF2, THREE, OURS = "half_plus_two", "half_plus_two_tf2", "half_plus_three", "examples"
THREE_REGRESS = "tensorflow/serving/regress"

X2 = example_list(example(x=2.0))
DOS_UNO = example(class_=["dos", "uno"], score=[2.0, 1.0], output=2.0)
CUATRO_TRES = example(class_=["cuatro", "tres"], score=[4.0, 3.0], output=3.0)
TWO = example_list(DOS_UNO, CUATRO_TRES)
EMPTY = {
    "no-input": None,
    "an-empty-list": example_list(),
    "a-context-without-examples": with_context(DOS_UNO),
    "a-context-and-x": with_context(example(x=2.0)),
}


def both_kinds(message: Any, signature: str) -> list[tuple[str, Any]]:
    return [("classify", classify(message, signature, X2)), ("regress", regress(message, signature, X2))]


CLASSIFIED = [
    *(Case(f"their-client-{model}", classify(model, "classify_x_to_y", X2), [[("", 3.0)]]) for model in (HALF, TF2)),
    Case("by-version", classify(spec(HALF, "classify_x_to_y", 123), "", X2), [[("", 3.0)]]),
    Case(
        "labels-and-scores",
        classify(OURS, "", TWO),
        [[("dos", 2.0), ("uno", 1.0)], [("cuatro", 4.0), ("tres", 3.0)]],
    ),
    Case(
        "context",
        classify(OURS, "", with_context(DOS_UNO, example(), example())),
        [[("dos", 2.0), ("uno", 1.0)]] * 2,
    ),
    Case(
        "context-and-the-same-features",
        classify(OURS, "", with_context(DOS_UNO, example(), CUATRO_TRES)),
        [[("dos", 2.0), ("uno", 1.0)], [("cuatro", 4.0), ("tres", 3.0)]],
    ),
    Case(
        "context-and-other-features",
        classify(OURS, "", with_context(example(class_=["a"]), example(score=[1.0]), example(score=[2.0]))),
        [[("a", 1.0)], [("a", 2.0)]],
    ),
    Case("no-context", classify(OURS, "", with_context(example(), DOS_UNO)), [[("dos", 2.0), ("uno", 1.0)]]),
    Case(
        "classes-only",
        classify(OURS, "classes_only", TWO),
        [[("dos", 0.0), ("uno", 0.0)], [("cuatro", 0.0), ("tres", 0.0)]],
    ),
    Case("scores-only", classify(OURS, "scores_only", TWO), [[("", 2.0), ("", 1.0)], [("", 4.0), ("", 3.0)]]),
    Case(
        "zero-scores",
        classify(OURS, "scores_only", example_list(example(class_=["-", "0", "+"], score=[-1.0, 0.0, 1.0]))),
        [[("", -1.0), ("", 0.0), ("", 1.0)]],
    ),
    Case("no-classes", classify(OURS, "", example_list(example(), example())), [[], []]),
    Case(
        "another-signature",
        classify(OURS, "plus_one", TWO),
        [[("dos", 3.0), ("uno", 2.0)], [("cuatro", 5.0), ("tres", 4.0)]],
    ),
    Case(
        "whatever-the-method-name",
        classify(OURS, "other_method", example_list(DOS_UNO)),
        [[("dos", 2.0), ("uno", 1.0)]],
    ),
]

REGRESSED = [
    *(Case(f"their-client-{model}", regress(model, "regress_x_to_y", X2), [3.0]) for model in (HALF, TF2)),
    *(Case(f"another-signature-{model}", regress(model, "regress_x_to_y2", X2), [4.0]) for model in (HALF, TF2)),
    # It declares its input as float, and scalar: what a session feeds is the placeholder, a string of any shape.
    Case("an-input-declared-as-float", regress(THREE, THREE_REGRESS, X2), [4.0]),
    Case(
        "a-default-of-the-parser",
        regress(HALF, "regress_x_to_y", example_list(example(), example(x=4.0))),
        [2.0, 4.0],
        sources=("own",),  # theirs has none
    ),
    Case("examples", regress(OURS, "regress", TWO), [2.0, 3.0]),
    Case("a-column", regress(OURS, "regress_plus_one", TWO), [3.0, 4.0]),
    Case("context", regress(OURS, "regress", with_context(example(output=3.0), example(), example())), [3.0, 3.0]),
    Case(
        "many",
        regress(HALF, "regress_x_to_y", example_list(*(example(x=float(number)) for number in range(1000)))),
        [number / 2 + 2 for number in range(1000)],
    ),
]

INFERRED = [
    *(
        Case(f"{id_}-{model}", infer(X2, *((model, name, method) for name, method in tasks)), answers)
        for model in (HALF, TF2)
        for id_, tasks, answers in (
            ("one", [("regress_x_to_y", REGRESS)], [[3.0]]),
            ("two-regressions", [("regress_x_to_y", REGRESS), ("regress_x_to_y2", REGRESS)], [[3.0], [4.0]]),
            (
                "regress-and-classify",
                [("regress_x_to_y", REGRESS), ("classify_x_to_y", CLASSIFY)],
                [[3.0], [[("", 3.0)]]],
            ),
            (
                "classify-and-regress",
                [("classify_x_to_y", CLASSIFY), ("regress_x_to_y2", REGRESS)],
                [[[("", 3.0)]], [4.0]],
            ),
        )
    ),
    Case(
        "three-with-the-default",
        infer(TWO, (OURS, "regress", REGRESS), (OURS, "", CLASSIFY), (OURS, "scores_only", CLASSIFY)),
        [
            [2.0, 3.0],
            [[("dos", 2.0), ("uno", 1.0)], [("cuatro", 4.0), ("tres", 3.0)]],
            [[("", 2.0), ("", 1.0)], [("", 4.0), ("", 3.0)]],
        ],
    ),
    Case(
        "context",
        infer(with_context(DOS_UNO, example(), example(output=5.0)), (OURS, "regress", REGRESS)),
        [[2.0, 5.0]],
    ),
]


def refused(id_: str, request: Any, *says: str, code: str = "INVALID_ARGUMENT", **expected: Any) -> Case:
    return Case(id_, request, Refusal(code, says, **expected))


REFUSED = [
    refused("classify-no-model-spec", ClassificationRequest(input=X2)),
    refused("regress-no-model-spec", RegressionRequest(input=X2)),
    refused("multi-no-tasks", MultiInferenceRequest(input=X2)),
    refused("multi-no-model-spec", infer(X2, (spec(""), "", REGRESS))),
    refused("multi-no-name-in-the-second", infer(X2, (HALF, "regress_x_to_y", REGRESS), ("", "", REGRESS)), "name"),
    *(refused(f"{kind}-no-name", request, "name") for kind, request in both_kinds("", "")),
    *(refused(f"{kind}-unknown-model", request, "'m'", code="NOT_FOUND") for kind, request in both_kinds("m", "")),
    refused("multi-unknown-model", infer(X2, ("m", "", REGRESS)), "'m'", code="NOT_FOUND"),
    *(
        refused(f"{kind}-unknown-version", request, HALF, "7", code="NOT_FOUND")
        for kind, request in both_kinds(spec(HALF, "regress_x_to_y", 7), "")
    ),
    refused("multi-unknown-version", infer(X2, (spec(HALF, "", 7), "", REGRESS)), HALF, "7", code="NOT_FOUND"),
    *(
        refused(f"{kind}-unknown-label", request, HALF, "stable")
        for kind, request in both_kinds(spec(HALF, "regress_x_to_y", label="stable"), "")
    ),
    refused("multi-unknown-label", infer(X2, (spec(HALF, label="stable"), "", REGRESS)), HALF, "stable"),
    *(
        refused(f"{kind}-unknown-signature", request, HALF, "regress_x_to_z", cause="mapping/wrong-signature")
        for kind, request in both_kinds(HALF, "regress_x_to_z")
    ),
    refused("classify-unknown-signature-hint", classify(HALF, "regress_x_to_z", X2), HALF, hints=["regress_x_to_y"]),
    refused("multi-unknown-signature", infer(X2, (HALF, "regress_x_to_z", REGRESS)), HALF, "regress_x_to_z"),
    *(
        refused(f"{kind}-no-default-signature", request, "counter", "serving_default")
        for kind, request in both_kinds("counter", "")
    ),
    refused("classify-a-regress-signature", classify(HALF, "regress_x_to_y", X2), "regress_x_to_y", "scores"),
    refused("regress-a-classify-signature", regress(HALF, "classify_x_to_y", X2), "classify_x_to_y", "outputs"),
    refused("classify-a-predict-signature", classify(HALF, "", X2), "serving_default", "inputs"),
    refused("regress-a-predict-signature", regress(HALF, "", X2), "serving_default", "inputs"),
    refused("multi-a-predict-signature", infer(X2, (HALF, "", REGRESS)), "serving_default"),
    refused("multi-a-signature-of-the-other-kind", infer(X2, (HALF, "regress_x_to_y", CLASSIFY)), "regress_x_to_y"),
    refused("classify-a-signature-without-inputs", classify("counter", "get_counter", X2), "get_counter"),
    *(refused(f"classify-{id_}", classify(HALF, "classify_x_to_y", given), "empty") for id_, given in EMPTY.items()),
    *(refused(f"regress-{id_}", regress(HALF, "regress_x_to_y", given), "empty") for id_, given in EMPTY.items()),
    *(
        refused(f"multi-{id_}", infer(given, (HALF, "regress_x_to_y", REGRESS)), "empty")
        for id_, given in EMPTY.items()
    ),
    # Signatures of a float: what TensorFlow Serving feeds them are serialized examples.
    refused("regress-floats", regress(HALF, "regress_x2_to_y3", X2), HALF, "regress_x2_to_y3"),
    refused("regress-floats-tf2", regress(TF2, "regress_x2_to_y3", X2), TF2, "regress_x2_to_y3"),
    refused("classify-floats", classify(TF2, "classify_x2_to_y3", X2), TF2, "classify_x2_to_y3"),
    refused(
        "a-feature-of-another-type",
        regress(HALF, "regress_x_to_y", example_list(example(x="two"))),
        *(HALF, "regress_x_to_y", "x"),
    ),
    refused("a-feature-of-two-values", regress(HALF, "regress_x_to_y", example_list(example(x=[1.0, 2.0]))), HALF),
    refused("a-required-feature", regress(THREE, THREE_REGRESS, example_list(example(z=2.0))), THREE, "x"),
    refused("a-run-that-fails", classify(OURS, "fails", TWO), OURS, "fails"),
    refused("a-task-that-fails", infer(TWO, (OURS, "regress", REGRESS), (OURS, "fails", CLASSIFY)), OURS),
    *(
        refused(id_, classify(OURS, id_, TWO), OURS, id_, *says)
        for id_, says in {
            "classes_of_rank_1": ["classes", "[2]"],
            "classes_of_floats": ["classes", "string", "float"],
            "classes_of_one_row": ["classes", "2", "1"],
            "scores_of_rank_3": ["scores", "[2,2,1]"],
            "scores_of_strings": ["scores", "float", "string"],
            "scores_of_doubles": ["scores", "float", "double"],
            "scores_of_one_row": ["scores", "2", "1"],
            "scores_of_one_class": ["2", "1"],
            "three_outputs": ["3"],
            "misnamed_outputs": ["classes", "scores", "labels"],
            "misnamed_input": ["inputs", "examples"],
            "two_inputs": ["2"],
        }.items()
    ),
    *(
        refused(id_, regress(OURS, id_, TWO), OURS, id_, *says)
        for id_, says in {
            "regress_of_rank_0": ["outputs", "[]"],
            "regress_of_rank_3": ["outputs", "[2,1,1]"],
            "regress_of_two_columns": ["outputs", "[2,2]"],
            "regress_of_strings": ["outputs", "float", "string"],
            "regress_of_doubles": ["outputs", "float", "double"],
            "regress_of_one_row": ["2", "1"],
        }.items()
    ),
    refused("multi-a-wrong-output", infer(TWO, (OURS, "regress_of_rank_3", REGRESS)), OURS, "regress_of_rank_3"),
    refused("two-models", infer(X2, (HALF, "regress_x_to_y", REGRESS), ("m", "regress_x_to_y", REGRESS)), HALF, "m"),
    refused(
        "a-signature-twice",
        infer(X2, (HALF, "regress_x_to_y", REGRESS), (HALF, "regress_x_to_y", REGRESS)),
        "regress_x_to_y",
    ),
    refused(
        "a-signature-twice-by-another-name",
        infer(TWO, (OURS, "", CLASSIFY), (OURS, "serving_default", CLASSIFY)),
        "serving_default",
    ),
    *(
        refused(f"method-{method!r}", infer(X2, (HALF, "regress_x_to_y", method)), method, code="UNIMPLEMENTED")
        for method in ("tensorflow/serving/predict", "classify")
    ),
    refused("no-method", infer(X2, (HALF, "regress_x_to_y", "")), code="UNIMPLEMENTED"),
    # What is looked at first: the model of the first task, then task after task.
    refused("unknown-and-two-models", infer(X2, ("m", "", REGRESS), (HALF, "", REGRESS)), "'m'", code="NOT_FOUND"),
    refused("unknown-and-twice", infer(X2, ("m", "", REGRESS), ("m", "", REGRESS)), "'m'", code="NOT_FOUND"),
    refused(
        "unsupported-and-twice",
        infer(X2, (HALF, "regress_x_to_y", "none"), (HALF, "regress_x_to_y", "none")),
        code="UNIMPLEMENTED",
    ),
    refused("an-unknown-signature-before-its-method", infer(X2, (HALF, "none", "none")), "none"),
]


@pytest.mark.parametrize(("case", "source"), params(CLASSIFIED))
def test_classified(case, source, channel_of, models_of):
    message = answered(case, source, channel_of)
    assert classes_of(message.result) == case.answer
    check_spec(message.model_spec, case.request.model_spec, models_of(source))


@pytest.mark.parametrize(("case", "source"), params(REGRESSED))
def test_regressed(case, source, channel_of, models_of):
    message = answered(case, source, channel_of)
    assert [regression.value for regression in message.result.regressions] == case.answer
    check_spec(message.model_spec, case.request.model_spec, models_of(source))


@pytest.mark.parametrize(("case", "source"), params(INFERRED))
def test_inferred(case, source, channel_of, models_of):
    message = answered(case, source, channel_of)
    assert [result_of(result) for result in message.results] == case.answer
    for result, task in zip(message.results, case.request.tasks, strict=True):
        check_spec(result.model_spec, task.model_spec, models_of(source))
        assert (
            result.WhichOneof("result")
            == {REGRESS: "regression_result", CLASSIFY: "classification_result"}[task.method_name]
        )


@pytest.mark.parametrize(("case", "source"), params(REFUSED))
def test_refused(case, source, channel_of):
    check_refusal(call(channel_of(source, case.server), case.request), case.answer)


def test_all_tasks_share_one_run(channel_of):
    """Each run of the model counts, and tells the count in both signatures."""
    request = infer(TWO, (OURS, "runs", REGRESS), (OURS, "runs_too", REGRESS))
    counts: list[float] = []
    for _ in range(3):
        message = call(channel_of("own"), request).message
        first, second = (result_of(result) for result in message.results)
        assert first == second == [first[0]] * 2
        counts.append(first[0])
    assert counts == [counts[0], counts[0] + 1, counts[0] + 2]


def test_answers_do_not_mix(channel_of):
    """Examples of several requests may run in one batch: each gets its own answers, in its order."""

    def right(number: int) -> bool:
        xs = [float(number + row) for row in range(1 + number % 4)]
        given = example_list(*(example(x=x) for x in xs))
        want = [x / 2 + 2 for x in xs]
        if number % 2:
            result = call(channel_of("own"), regress(HALF, "regress_x_to_y", given)).message.result
            return [regression.value for regression in result.regressions] == want
        result = call(channel_of("own"), classify(HALF, "classify_x_to_y", given)).message.result
        return classes_of(result) == [[("", value)] for value in want]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(right, range(400)))


def test_bytes_that_are_no_example_make_no_message(channel_of):
    """Also where a server has no need to parse the examples itself."""
    size = len(X2.example_list.examples[0].SerializeToString())
    broken = regress(HALF, "regress_x_to_y", X2).SerializeToString()[:-size] + b"\xff" * size
    method = channel_of("own").unary_unary("/tensorflow.serving.PredictionService/Regress")
    check_refusal(ask(method, broken), Refusal("INTERNAL"))


def answered(case: Case, source: str, channel_of: Any) -> Any:
    answer = call(channel_of(source, case.server), case.request)
    assert answer.error is None, answer.error.details()
    check_warning(answer, case.warns)
    return answer.message


def check_spec(got: Any, asked: Any, models: Any) -> None:
    newest = max(int(folder.name) for folder in models[asked.name].iterdir())
    assert got == spec(asked.name, asked.signature_name or "serving_default", newest)


def classes_of(result: Any) -> list[list[tuple[str, float]]]:
    return [[(class_.label, class_.score) for class_ in each.classes] for each in result.classifications]


def result_of(result: Any) -> Any:
    if result.WhichOneof("result") == "classification_result":
        return classes_of(result.classification_result)
    return [regression.value for regression in result.regression_result.regressions]
