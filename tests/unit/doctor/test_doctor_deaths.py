"""Where variation dies in made-up traces, and of what."""

from unstuck.doctor.evidence.deaths import Death, deaths, root
from unstuck.doctor.evidence.judging import judged
from unstuck.doctor.evidence.samples import UNRUN, tensor, trace
from unstuck.doctor.evidence.variation import TensorFacts, VariationTrace

X = tensor("x", "Placeholder")
KERNEL = tensor("kernel", "ReadVariableOp", alive=False, constant=True)
NOTHING: dict[str, object] = {"alive": False, "minimum": 0.0, "maximum": 0.0, "magnitude": 0.0, "spread": 0.0}
TINY: dict[str, object] = {"minimum": 0.0, "maximum": 1e-30, "magnitude": 1e-30, "spread": 1e-30}


def rooted(*tensors: TensorFacts) -> Death:
    death = root(deaths(trace(*tensors).pools[0], "y"))
    assert death is not None
    return death


def test_a_gate_next_to_zero_is_named_before_the_sum_that_drowns_its_product() -> None:
    gate, product = tensor("gate", "Sigmoid", "x", **TINY), tensor("product", "Mul", "x", "gate", **TINY)
    death = rooted(X, KERNEL, gate, product, tensor("sum", "AddV2", "product", "kernel", alive=False))
    assert (death.kind, death.layer) == ("dead", "gate")


def test_a_gate_in_a_loop_is_named_before_the_weights_that_lose_what_it_leaves() -> None:
    gate, product = tensor("gate", "Sigmoid", "x", **TINY), tensor("loop/product", "Mul", "x", "gate", **TINY)
    turn, loop = tensor("loop/turn", "IdentityN", "loop/product", **TINY), tensor("loop", "While", "x", **TINY)
    death = rooted(X, KERNEL, gate, product, turn, loop, tensor("dense", "MatMul", "loop", "kernel", **NOTHING))
    assert (death.kind, death.layer) == ("dead", "gate")


def test_weights_of_zero_stay_at_fault_where_a_gate_is_open() -> None:
    gate, product = tensor("gate", "Sigmoid", "x"), tensor("product", "Mul", "x", "gate")
    death = rooted(X, KERNEL, gate, product, tensor("dense", "MatMul", "product", "kernel", **NOTHING))
    assert (death.kind, death.layer) == ("degenerate-weights", "dense")


def test_a_tiny_product_of_weights_that_a_sum_drowns_stays_the_weights_fault() -> None:
    product = tensor("product", "MatMul", "x", "kernel", **TINY)
    death = rooted(X, KERNEL, product, tensor("sum", "AddV2", "product", "kernel", alive=False))
    assert death.kind == "degenerate-weights"


def test_a_gathering_by_handle_blames_its_table() -> None:
    assert rooted(X, tensor("rows", "ResourceGather", "x", alive=False)).kind == "degenerate-weights"


def test_a_choice_of_zeros_is_dead_and_of_others_unknown() -> None:
    assert rooted(X, tensor("relu", "SelectV2", "x", "x", **NOTHING)).kind == "dead"
    assert rooted(X, tensor("other", "SelectV2", "x", "x", alive=False)).kind == "unknown"


def test_a_loop_that_gives_its_start_though_its_turns_vary_never_ran() -> None:
    assert [death.kind for death in judged(UNRUN)] == ["disconnected"]


def test_a_loop_that_gives_another_value_than_its_start_has_run() -> None:
    turn = tensor("loop/turn", "IdentityN", "x")
    start = tensor("start", "Fill", **{**NOTHING, "constant": True})
    assert rooted(X, start, turn, tensor("loop", "While", "start", "x", alive=False)).kind == "unknown"


def test_a_loop_that_was_not_watched_inside_is_not_judged() -> None:
    assert rooted(X, KERNEL, tensor("loop", "While", "kernel", "x", alive=False)).kind == "unknown"


def test_what_takes_the_shape_only_is_disconnected() -> None:
    assert rooted(X, tensor("ones", "OnesLike", "x", alive=False)).kind == "disconnected"


def test_an_output_that_moves_by_less_than_golden_rows_is_collapsed() -> None:
    product = tensor("product", "MatMul", "x", "kernel", spread=0.01, magnitude=0.01)
    total = tensor("sum", "AddV2", "product", "kernel", spread=0.01, magnitude=1.0)
    found = trace(X, KERNEL, product, total).model_copy(update={"golden_range": {"y": 10.0}})
    assert [death.kind for death in judged(found)] == ["collapsed"]


def test_a_softmax_of_scores_that_hardly_move_has_collapsed_and_one_that_stays_has_no_weights() -> None:
    scores = tensor("scores", "MatMul", "x", "kernel", spread=1e-5, magnitude=1e-5, level=1e-5)
    moving = tensor("out", "Softmax", "scores", spread=2e-6, minimum=0.249, maximum=0.251, magnitude=0.251)
    kernel = tensor("kernel", "ReadVariableOp", alive=False, constant=True, shape=[4, 4])
    assert [death.kind for death in judged(trace(X, kernel, scores, moving))] == ["collapsed"]
    still = moving.model_copy(update={"alive": False, "spread": 0.0})
    assert [death.kind for death in judged(trace(X, kernel, scores, still))] == ["degenerate-weights"]


def test_beside_requests_only_rows_around_the_graphs_own_centre_are_plausible() -> None:
    alive = trace(X, KERNEL, tensor("relu", "Relu6", "x")).pools[0]
    dead = trace(X, KERNEL, tensor("relu", "Relu6", "x", **NOTHING)).pools[0]
    requests, centred = (dead.model_copy(update={"pool": name}) for name in ("requests", "synthetic centred"))
    drawn = alive.model_copy(update={"pool": "synthetic normal"})
    assert judged(VariationTrace(pools=[requests, drawn])) == []
    assert [death.kind for death in judged(VariationTrace(pools=[requests, drawn, centred]))] == ["dead"]
