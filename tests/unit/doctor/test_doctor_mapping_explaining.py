"""Hypotheses: a change of the inputs is found by the answers that it gives, and none where there is none."""

import numpy as np
import pytest

from unstuck.doctor.experiments.explaining import Matcher, Search
from unstuck.doctor.experiments.numbers_changing import numbers_changed
from unstuck.doctor.experiments.rearranging import search_maps
from unstuck.doctor.experiments.transformations import groups, hypotheses

ROWS = 40
RANDOM = np.random.default_rng(3)


def network(width, outputs=1, seed=0):
    """A small network over all of a row's elements."""
    random = np.random.default_rng(seed)
    first, last = random.normal(0, 1 / np.sqrt(width), (width, 16)), random.normal(0, 1, (16, outputs))

    def run(batch):
        x = np.concatenate([each.reshape(len(each), -1) for each in batch.values()], axis=1).astype(np.float64)
        return {"y": (np.tanh(x @ first) @ last).astype(np.float32)}

    return run


def found(run, batch, arrived, *, maps=True):
    """What explains that the answers are those to ``arrived``."""
    truth = run(arrived)
    search = Search(run, batch, truth, run(batch), seconds=20)
    if search.is_wrong.any():
        search.try_all(hypotheses(batch, {}))
        search.try_all(numbers_changed(batch, {}))
        if maps and not search.found:
            for group in groups(batch):
                search_maps(search, run, group, truth, copies=True)
    return search.best_first()


def vector(width):
    return {"x": np.random.default_rng(width).normal(size=(ROWS, width)).astype(np.float32)}


def columns(batch, order):
    return {"x": batch["x"][:, order]}


@pytest.mark.parametrize(
    "order", [[1, 0], [0, 3, 2, 1], [5, 4, 3, 2, 1, 0], [2, 3, 4, 5, 6, 7, 0, 1], [3, 4, 5, 0, 1, 2]], ids=str
)
def test_columns_in_another_order_are_swapped(order):
    batch = vector(len(order))
    best = found(network(len(order)), batch, columns(batch, order))[0]
    assert (best.kind, best.share, best.order) == ("swapped", 1.0, order)
    assert set(best.features) == {f"x[{at}]" for at, source in enumerate(order) if at != source}


def test_any_order_of_ten_columns_is_found():
    order = [3, 0, 9, 1, 8, 2, 7, 4, 6, 5]
    batch = vector(10)
    best = found(network(10), batch, columns(batch, order))[0]
    assert (best.kind, best.order) == ("swapped", order)


def test_a_column_in_two_places_is_duplicated():
    batch = vector(6)
    best = found(network(6), batch, columns(batch, [0, 1, 2, 3, 1, 5]))[0]
    assert (best.kind, best.features) == ("duplicated", ["x[1]", "x[4]"])


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_constant_column_is_dropped(value):
    batch = vector(6)
    arrived = {"x": batch["x"].copy()}
    arrived["x"][:, 3] = value
    best = found(network(6), batch, arrived)[0]
    assert (best.kind, best.features) == ("dropped", ["x[3]"])


def named():
    return {name: RANDOM.normal(size=(ROWS, 1)).astype(np.float32) for name in ("age", "debt", "income", "tenure")}


def test_named_inputs_in_each_others_place_are_swapped():
    batch = named()
    best = found(network(4), batch, batch | {"age": batch["tenure"], "tenure": batch["age"]})[0]
    assert (best.kind, best.input, best.features) == ("swapped", "age, tenure", ["age", "tenure"])


def test_texts_in_each_others_place_are_swapped():
    words = np.array([b"red", b"green", b"blue", b"black", b"white"], object)
    batch = {name: words[RANDOM.integers(0, 5, (ROWS, 1))] for name in ("first", "second")}

    def run(given):
        return {
            "y": np.array(
                [[len(a[0]) * 10 + len(b[0])] for a, b in zip(given["first"], given["second"], strict=True)], float
            )
        }

    arrived = {"first": batch["second"], "second": batch["first"]}
    assert found(run, batch, arrived)[0].features == ["first", "second"]


PICTURES = RANDOM.normal(size=(ROWS, 6, 6, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.transpose(0, 2, 1, 3),
        lambda x: x[..., ::-1],
        lambda x: x[..., [1, 2, 0]],
        lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape),
        lambda x: x.reshape(-1, 3, 6, 6).transpose(0, 2, 3, 1),
        lambda x: x[:, ::-1],
    ],
    ids=["transposed", "bgr", "rotated channels", "channels first", "read as channels first", "upside down"],
)
@pytest.mark.parametrize("flat", [False, True], ids=["picture", "flattened"])
def test_another_order_of_axes_is_a_wrong_layout(change, flat):
    def shaped(x):
        return {"image": x.reshape(len(x), -1) if flat else x}

    best = found(network(108, 3), shaped(PICTURES), shaped(change(PICTURES)), maps=False)[0]
    assert (best.kind, best.input) == ("layout", "image")


def test_a_series_read_in_the_other_direction_is_a_wrong_layout():
    series = {"series": RANDOM.normal(size=(ROWS, 24, 3)).astype(np.float32)}
    arrived = {"series": series["series"].transpose(0, 2, 1).reshape(ROWS, 24, 3)}
    assert found(network(72), series, arrived)[0].kind == "layout"


def test_reversed_ids_are_a_wrong_layout():
    ids = {"ids": RANDOM.integers(0, 50, (ROWS, 12)).astype(np.int32)}
    assert found(network(12, seed=4), ids, {"ids": ids["ids"][:, ::-1]})[0].kind == "layout"


def test_a_rescaled_picture_is_no_rearrangement():
    picture = {"image": (255 * RANDOM.random((ROWS, 6, 6, 3))).astype(np.float32)}
    assert found(network(108), picture, {"image": picture["image"] / 255})[0].kind == "normalised"


def test_all_inputs_of_a_table_of_integers_are_cast():
    batch = named()
    explained = found(network(len(batch)), batch, {alias: np.trunc(values) for alias, values in batch.items()})
    assert explained[0].kind == "cast"
    assert explained[0].input == ", ".join(batch)


def test_a_picture_turned_on_its_side_is_a_wrong_layout():
    picture = {"image": RANDOM.random((ROWS, 6, 6, 3)).astype(np.float32)}
    explained = found(network(108), picture, {"image": np.rot90(picture["image"], 1, (1, 2))})
    assert explained[0].kind == "layout"
    assert "turned by 90 degrees" in explained[0].what or "axes" in explained[0].what


def nearly_symmetric(pictures):
    """Scores of pictures that turning moves by little, but for one row."""
    x = pictures["x"].astype(np.float64)
    turned = np.where(np.arange(len(x)) % ROWS == 0, 1.0, 2e-3) * np.tanh(x[:, 0, 1] - x[:, 1, 0])
    return {"y": (x.sum((1, 2)) + turned).astype(np.float32)}


def test_answers_that_are_nearly_right_prove_another_order_of_axes():
    batch = {"x": np.random.default_rng(8).normal(size=(ROWS, 5, 5)).astype(np.float32)}
    arrived = {"x": batch["x"].transpose(0, 2, 1)}
    search = Search(nearly_symmetric, batch, nearly_symmetric(arrived), nearly_symmetric(batch), seconds=20)
    assert search.is_wrong.sum() == 1
    search.try_all(hypotheses(batch, {}))
    best = search.best_first()[0]
    assert (best.kind, best.share) == ("layout", 1.0)
    assert best.telling > 20


def test_answers_that_are_nearly_right_prove_no_rounding():
    batch = {"x": np.random.default_rng(9).normal(size=(ROWS, 5, 5)).astype(np.float32)}
    arrived = {"x": batch["x"].astype(np.float16).astype(np.float32)}
    arrived["x"][0] += 1  # one row that is another
    run = nearly_symmetric
    search = Search(run, batch, run(arrived), run(batch), seconds=20)
    assert search.is_wrong.sum() == 1
    search.try_all(hypotheses(batch, {}))
    search.try_all(numbers_changed(batch, {}))
    assert search.best_first() == []


def test_numbers_made_tiny_are_not_the_same_as_none():
    batch = {"x": RANDOM.normal(size=(ROWS, 1)).astype(np.float32)}
    run = lambda given: {"y": np.tanh(0.2 * given["x"])}  # noqa: E731
    explained = found(run, batch, {"x": batch["x"] / 1000})
    assert [each.kind for each in explained] == ["normalised"]


def test_a_symmetric_model_has_no_swapped_features():
    batch = named()
    run = lambda given: {"y": sum(given.values())}  # noqa: E731
    assert found(run, batch, batch | {"age": batch["tenure"], "tenure": batch["age"]}) == []


def test_answers_of_something_else_are_not_explained():
    batch = vector(6)
    truth = network(6, seed=7)(batch)
    search = Search(network(6), batch, truth, network(6)(batch), seconds=20)
    search.try_all(hypotheses(batch, {}))
    search_maps(search, network(6), groups(batch)[0], truth, copies=True)
    assert search.is_wrong.sum() > ROWS / 2
    assert search.best_first() == []


def test_few_classes_that_agree_by_chance_are_no_explanation():
    batch = vector(6)
    classes = np.random.default_rng(0).integers(0, 2, (8, 1))
    few = {"x": batch["x"][:8]}
    run = lambda given: {"y": (network(6)(given)["y"] > 0).astype(np.int64)}  # noqa: E731
    search = Search(run, few, {"y": classes}, run(few), seconds=20)
    search.try_all(hypotheses(few, {}))
    assert search.best_first() == []


def test_a_stale_answer_is_no_rearrangement():
    batch = vector(6)
    run = network(6)
    truth = {"y": np.roll(run(batch)["y"], 1, axis=0)}
    search = Search(run, batch, truth, run(batch), seconds=20)
    search.try_all(hypotheses(batch, {}))
    assert search.best_first() == []


def test_rounding_is_not_wrong_and_a_small_true_difference_is():
    pressure = np.linspace(1012.9, 1013.5, 20, dtype=np.float32)[:, None]
    matcher = Matcher({"y": pressure}, {"y": pressure})
    assert matcher.same({"y": pressure + np.float32(1e-4)}).all()
    assert matcher.wrong({"y": pressure[::-1]}).sum() == 20


def test_outputs_of_one_name_each_are_compared_whatever_they_are_called():
    y = np.arange(5.0)[:, None]
    assert Matcher({"score": y}, {"output_0": y}).same({"output_0": y}).all()
    assert not Matcher({"score": y}, {"a": y, "b": y}).same({"a": y, "b": y}).any()


def wrapped(values, kind):
    """What explains that some of ``values`` wrap in ``kind``, and the others lose what is behind the point."""
    batch = {"x": np.asarray(values, np.float32)[:, None]}
    arrived = {"x": batch["x"].astype(np.int64).astype(kind).astype(np.float32)}
    return [each.what for each in found(lambda rows: {"y": rows["x"] * 2 + 1}, batch, arrived)[:1]]


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("cast to bytes", np.uint8),
        ("cast to signed bytes", np.int8),
        ("cast to integers of 16 bits", np.int16),
        ("cast to unsigned integers of 16 bits", np.uint16),
    ],
)
def test_numbers_that_wrap_in_a_narrow_type_are_told(what, kind):
    limits = np.iinfo(kind)
    assert wrapped(np.linspace(limits.max - 99.3, limits.max + 90, ROWS), kind) == [f"x arrives {what}"]


def test_two_numbers_below_zero_in_bytes_are_told_by_what_the_others_lose_as_well():
    values = np.linspace(3, 30, ROWS)
    values[[4, 21]] = [-3.4, -9.2]
    assert wrapped(values, np.uint8) == ["x arrives cast to bytes"]


def test_integers_that_wrap_are_told():
    batch = {"x": np.arange(ROWS)[:, None] * 40}
    best = found(lambda rows: {"y": rows["x"] / 7}, batch, {"x": batch["x"].astype(np.uint8).astype(np.int64)})
    assert [each.what for each in best] == ["x arrives cast to bytes"]
