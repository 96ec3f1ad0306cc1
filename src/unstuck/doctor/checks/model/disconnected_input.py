"""No path leads from an input to the output.

What it finds
    An output that depends on no input, or an input of the signature that no output depends on: whatever is sent, it
    cannot change the answer.

Why it happens
    The graph was constant-folded or frozen around one example, a placeholder with a default is never fed by the
    signature, or the model was exported again from a tensor that had been computed already.

How it decides
    Every way from each input to each output is followed through functions, loops and branches. Ops whose result depends
    only on the shape of what they take (``Shape``, ``ZerosLike``) carry nothing; where they take the input itself, its
    shape may be all that is wanted, where they take what was computed of it, the input is lost. And the model is run on
    varied rows: a loop that never turns, or a branch that is never taken, whose own results would vary, cuts its inputs
    off.

How to fix it
    Export again from a function that computes the output of its argument, and check with ``unstuck inspect``.

When it is wrong
    An output that is a constant by design (class names, a version) is left out where it holds no fractions and another
    output depends on inputs.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, check
from unstuck.doctor.dying import numbers, place, short
from unstuck.doctor.evidence.deaths import Death
from unstuck.doctor.evidence.judging import judged
from unstuck.doctor.evidence.model_graph import ModelGraph
from unstuck.doctor.evidence.op_kinds import BRANCHES, LOOPS
from unstuck.doctor.evidence.samples import ALIVE, UNRUN
from unstuck.doctor.evidence.variation import VariationTrace

FIX = (
    "Export again from a function that computes the output of its argument: "
    "tf.function(lambda x: model(x, training=False)), called in the export and never evaluated before. "
    "unstuck inspect MODEL shows what each signature reads."
)


NUMBERS = ("float", "double", "half", "bfloat16")


@check(
    explains=(
        "model/dead-activation",
        "model/saturated-activation",
        "model/collapsed",
        "model/output-hides-variation",
        "mapping/dropped-feature",
    )
)
def disconnected_input(graph: ModelGraph, trace: VariationTrace | None) -> Iterator[Outcome]:
    if graph.load_error:
        yield NotTested(f"the model cannot be loaded: {graph.load_error}")
        return
    reached = {alias for aliases in graph.reaches.values() for alias in aliases}
    lost = [alias for alias in graph.inputs if alias not in reached and alias not in graph.valueless]
    frozen = [
        alias
        for alias, aliases in graph.reaches.items()
        if not aliases and (not reached or graph.outputs.get(alias, "").startswith(NUMBERS))
    ]
    if frozen and graph.inputs:
        outputs = ", ".join(frozen)
        unfed = f" It depends on {graph.unfed[0]!r}, which no input feeds." if graph.unfed else ""
        yield Fault(
            why=f"Output {outputs} depends on none of the inputs {', '.join(graph.inputs)}: it is a constant.{unfed}",
            evidence={"reaches": graph.reaches, "unfed": graph.unfed, "inputs": list(graph.inputs)},
            fix=FIX,
            confidence=0.97,
            location=Location(
                input=", ".join(graph.inputs), output=outputs, node=graph.unfed[0] if graph.unfed else None
            ),
        )
    elif lost:
        yield Fault(
            why=f"Input {', '.join(lost)} of the signature reaches no output: whatever it is sent changes nothing.",
            evidence={"reaches": graph.reaches, "inputs": list(graph.inputs), "unfed": graph.unfed},
            fix=FIX,
            confidence=0.9,
            location=Location(input=", ".join(lost)),
        )
    elif cut_off := [death for death in judged(trace) if death.kind == "disconnected"] if trace else []:
        yield from map(_cut_off, cut_off)
    else:
        yield RuledOut("Every input reaches an output.", {"reaches": graph.reaches})


def _cut_off(death: Death) -> Fault:
    if death.tensor.op in BRANCHES:
        what = "a branch of which is never taken"
    else:
        what = "a loop that never turns" if death.tensor.op in LOOPS else "which takes their shape only"
    return Fault(
        why=f"Output {death.output!r} takes its inputs only through {place(death)}, {what}: the inputs have no "
        f"effect, for all rows of the {death.pool} inputs.",
        evidence=numbers(death),
        fix="Export with what lets it run (its condition, its count of steps), or call its layers without it.",
        confidence=0.9,
        location=Location(node=short(death.tensor.node), layer=death.layer or None, output=death.output),
    )


def _graph(**reaches: list[str]) -> ModelGraph:
    return ModelGraph(signature="s", inputs={"a": "float", "b": "float"}, reaches=reaches)


CASES = (
    Case("a constant output", (_graph(y=[]),), "fault"),
    Case("a loop that never turns", (_graph(y=["a", "b"]), UNRUN), "fault"),
    Case("the outputs vary", (_graph(y=["a", "b"]), ALIVE), "ruled-out"),
    Case("both inputs are used", (_graph(y=["a", "b"]),), "ruled-out"),
    Case("each head uses another input, and names are constant", (_graph(y=["a"], z=["b"], names=[]),), "ruled-out"),
)
