"""From findings to the verdict: the earliest root among the faults."""

from collections.abc import Iterable, Mapping, Sequence

from unstuck.doctor.evidence.answers import EndpointAnswers
from unstuck.doctor.evidence.base import Found
from unstuck.doctor.evidence.model_graph import ModelGraph
from unstuck.doctor.evidence.replay import Comparison, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.evidence.server_preparation import ServerPreparation
from unstuck.doctor.evidence.server_state import ServerState
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.findings import CAUSES, UNKNOWN, Finding, Location, Verdict

SAME_ANSWER = "the same answer"  # and not only the same class, as a server's /statusz says it
ENOUGH = 10  # different inputs, from which one answer to all of them is no chance


def verdict(
    findings: Sequence[Finding], explains: Mapping[str, Iterable[str]], *, constant: str = ""
) -> Verdict | None:
    """The fault that, once repaired, makes the others go away; None where there is none.

    Args:
        findings: of all checks.
        explains: by cause, the causes that are only its symptoms.
        constant: why the answers are constant or wrong without a legitimate reason; empty where they are not.
    """
    faults = [finding for finding in findings if finding.status == "fault"]
    if not faults:
        return _unknown(constant) if constant else None
    symptoms = {cause for fault in faults for cause in explains.get(fault.cause, ())}
    roots = [fault for fault in faults if fault.cause not in symptoms] or faults
    root = min(roots, key=lambda fault: (-round(fault.confidence, 1), CAUSES.index(fault.cause)))
    return Verdict(
        cause=root.cause,
        stage=root.cause.split("/")[0],
        confidence=root.confidence,
        summary=root.why,
        location=root.location,
        fix=root.fix,
    )


def unexplained(found: Found) -> str:
    """Why the answers are constant or wrong without a legitimate reason; empty where they vary, or may be constant.

    A label that is the same for all, and an answer to few or drawn inputs, may be right.
    """
    for kind, whose in ((GoldenReplay, "model"), (GoldenAtEndpoint, "endpoint")):
        compared = found.get(kind)
        if isinstance(compared, Comparison) and compared.best is None and 2 * compared.wrong > compared.rows >= 3:
            return f"{compared.wrong} of {compared.rows} answers of the {whose} are not the golden ones."
    answers, trace = found.get(EndpointAnswers), found.get(VariationTrace)
    if isinstance(answers, EndpointAnswers) and answers.source not in ("synthetic", "profile") and answers.outputs:
        constant = [each for each in answers.outputs if each.is_constant and each.distinct_inputs >= ENOUGH]
        if len(constant) == len(answers.outputs) and any(_is_score(each.lowest) for each in constant):
            rows = constant[0].distinct_inputs
            return f"The endpoint gives one answer, {constant[0].example}, to {rows} different inputs."
    if told := _seen_by_server(found):
        return told
    server = found.get(ServerPreparation)
    if isinstance(server, ServerPreparation) and server.prepares:
        return ""  # the model alone is not what the requests are meant for
    pool = trace.pool("requests") if isinstance(trace, VariationTrace) else None
    if pool and pool.rows >= ENOUGH and pool.inputs_vary and pool.answers:
        still = [
            each for each in pool.answers.values() if not each.alive and each.dtype.startswith(("float", "bfloat"))
        ]
        if len(still) == len(pool.answers):
            return f"The model gives one answer to {pool.rows} different requests."
    return ""


def _seen_by_server(found: Found) -> str:
    """What the server itself says of its answers, where no requests show what clients send."""
    server, asked, answers = found.get(ServerState), found.get(Subject), found.get(EndpointAnswers)
    if not isinstance(server, ServerState) or server.metrics is None or not isinstance(asked, Subject):
        return ""
    shown = isinstance(answers, EndpointAnswers) and answers.source == "requests"
    scores = isinstance(answers, EndpointAnswers) and any(_is_score(each.lowest) for each in answers.outputs)
    for each in server.metrics.same_answers:
        if each.signature == asked.signature and each.same == SAME_ANSWER and scores and not shown:
            return (
                f"The server has seen {each.inputs} different inputs in a row get one answer; what clients send is not "
                "here (--requests)."
            )
    return ""


def unloadable(found: Found) -> Verdict | None:
    """The verdict on a model that cannot be loaded, for a reason that is no check's; None where it can, or answers."""
    graph, answers = found.get(ModelGraph), found.get(EndpointAnswers)
    served = isinstance(answers, EndpointAnswers) and answers.answered
    if not isinstance(graph, ModelGraph) or not graph.load_error or served:
        return None
    return Verdict(
        cause=UNKNOWN,
        stage=None,
        confidence=0.9,
        summary=f"The model cannot be loaded: {graph.load_error}",
        location=Location(),
        fix="Copy the whole version folder (saved_model.pb, variables, assets), or export the model again; if it says "
        "that an op is not registered, install the package that has it.",
    )


def _is_score(value: float | None) -> bool:
    return value is not None and value != int(value)


def _unknown(constant: str) -> Verdict:
    return Verdict(
        cause=UNKNOWN,
        stage=None,
        confidence=0.5,
        summary=f"{constant} No cause is proven by what was given.",
        location=Location(),
        fix="Give more evidence: --training-data and --golden show what the model was trained on, --model and TARGET "
        "together show where they differ.",
    )
