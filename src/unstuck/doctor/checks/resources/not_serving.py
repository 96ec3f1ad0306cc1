"""The model is not AVAILABLE, or the endpoint does not answer.

What it finds
    A port that is closed, a server that hangs, a 503 from a proxy, an unknown model name, a version that is still
    loading or whose load failed: calls fail always, not only under load.

Why it happens
    The base path has no version folder, the name in the URL is another than ``--model_name``, the model did not load,
    or the server is down behind its proxy. Clients then show a default, the same for every input.

How it decides
    GET status, metadata and a few predict calls are made one after another, with short timeouts. Every predict call
    must fail for a reason of the server's (connection refused, timeout, 404, 5xx); a status without an AVAILABLE
    version counts by itself. Where a fifth of the calls fails on and off, a backend is down. Without TARGET, a log in
    which the server found no version to load, or in which the last load failed, is enough. Every call refused for want
    of credentials (401, 403; UNAUTHENTICATED, PERMISSION_DENIED) counts as well.

How to fix it
    Start the server, correct the name or the base path, repair the load: the report quotes the server.

When it is wrong
    A server that was restarting just then is asked again a second later, no more. Calls refused for their content
    (400) are no fault here. The diagnosis sends no credentials: clients that do may be served.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, check
from unstuck.doctor.evidence.answers import UNREACHABLE, CallOutcome, EndpointAnswers, EndpointState, VersionState
from unstuck.doctor.evidence.server_state import LogFacts, ServerState

FOLDER = "Put the model into a folder named by a number below the base path, as /models/NAME/1/saved_model.pb."
OFTEN = 0.2  # of the calls, one after another
ENOUGH = 10  # calls


@check(explains=("resources/overload", "resources/stale-response", "mapping/wrong-version", "mapping/wrong-signature"))
def not_serving(
    endpoint: EndpointState | None, answers: EndpointAnswers | None, server: ServerState | None
) -> Iterator[Outcome]:
    log = server.log if server else None
    if endpoint is None:
        yield from _by_log(log)
    elif down := endpoint.why_down():
        yield _fault(endpoint, down, log)
    elif refused := endpoint.refused:
        yield _refused(endpoint, refused)
    elif answers is not None and _is_flaky(answers):
        yield Fault(
            why=f"Of {answers.asked} calls made one after another, {answers.server_failures} failed on and off, and "
            "worked when made again: a backend behind the endpoint does not serve.",
            evidence={"asked": answers.asked, "failed": dict(answers.failed), "failed_twice": answers.failed_twice},
            fix="Look at each server behind the proxy by itself; take out those that do not answer.",
            confidence=0.8,
        )
    elif not endpoint.outcomes("predict"):
        yield NotTested("the endpoint says that the model is available; no call could be tried")
    else:
        done = [call for call in endpoint.outcomes("predict") if not call.is_server_failure]
        yield RuledOut(f"The endpoint answers, in {done[0].seconds * 1000:.0f} ms.", {"available": endpoint.available})


def _refused(state: EndpointState, call: CallOutcome) -> Outcome:
    return Fault(
        why=f"{state.url} refuses every call for want of credentials: {call.code} ({call.status}) {call.message}",
        evidence={"calls": [f"{each.what}: {each.code}" for each in state.calls]},
        fix="Send the credentials that are wanted (a token, an API key, a client certificate), of an account that may "
        "call the model; or call the server's own port, and diagnose that.",
        confidence=0.9,
    )


def _fault(state: EndpointState, down: str, log: LogFacts | None) -> Outcome:
    told = next((each for each in state.versions if each.state != "AVAILABLE"), None)
    version = str(told.version if told else state.asked_version or "") or None
    return Fault(
        why=f"{state.url} does not serve the model: {down}",
        evidence={
            "calls": [f"{call.what}: {call.code}" for call in state.calls],
            "versions": {str(each.version): each.state for each in state.versions},
            "known_models": state.known_models,
            "log": log.example("no_versions", "missing_op", "load_failed", "crashed") if log else "",
        },
        fix=_fix(state, log),
        confidence=0.97,
        location=Location(version=version),
    )


def _fix(state: EndpointState, log: LogFacts | None) -> str:
    if log is not None and log.count("no_versions"):
        return FOLDER
    if state.known_models:
        return f"Ask for a model that the server has: {', '.join(state.known_models)}."
    if any(each.state in ("START", "LOADING") for each in state.versions):
        return "Wait until the version is AVAILABLE; if it never is, the server's log says why (--server-log)."
    codes = {call.code for call in state.calls}
    if codes <= {UNREACHABLE}:
        return "Start the server, or correct host and port; in a container publish the port (docker run -p 8501:8501)."
    if "NOT_FOUND" in codes:
        name = f"Compare the name {state.model!r} in the URL with the server's --model_name"
        return f"{name} (GET /v1/models/NAME), and see in its log which versions it loaded."
    return "See the server's log (--server-log), and ask the server itself instead of the proxy before it."


def _is_flaky(answers: EndpointAnswers) -> bool:
    often = answers.asked >= ENOUGH and answers.server_failures >= OFTEN * answers.asked
    return often and answers.retried > 0 and answers.failed_twice < answers.retried


def _by_log(log: LogFacts | None) -> Iterator[Outcome]:
    if log is None:
        yield NotTested("no TARGET and no --server-log were given")
    elif log.last_load == "failed" or (log.count("no_versions") and not log.count("loaded")):
        what = log.example("no_versions", "missing_op", "load_failed")
        yield Fault(
            why=f"The log says that the server serves no version of the model: {(log.load_errors or [what])[0]}",
            evidence={"loaded": log.count("loaded"), "failed": log.count("load_failed"), "line": what},
            fix=FOLDER if log.count("no_versions") else "Repair what the load failed of, and start the server again.",
            confidence=0.9,
        )
    elif log.last_load == "loaded":
        yield RuledOut("The log says that the model was loaded.", {"loaded": log.count("loaded")})
    else:
        yield NotTested("the log does not say how a load ended")


def _state(*calls: CallOutcome, **more: object) -> EndpointState:
    given: dict[str, object] = {"url": "http://h:8501/v1/models/m", "model": "m", "is_reachable": True}
    return EndpointState.model_validate(given | {"calls": list(calls)} | more)


_OK = CallOutcome(what="predict", code="OK", status=200, seconds=0.01)
_CLOSED = CallOutcome(what="predict", code=UNREACHABLE, message="Could not connect to http://h:8501.")
_BAD = CallOutcome(what="predict", code="INVALID_ARGUMENT", status=400, message="JSON Parse error")
_LOGIN = CallOutcome(what="predict", code="UNAUTHENTICATED", status=401, message="Unauthorized")
_LOADING = VersionState(version=1, state="LOADING")

CASES = (
    Case("a closed port", (_state(_CLOSED, _CLOSED, is_reachable=False),), "fault"),
    Case("still loading", (_state(CallOutcome(what="status", code="OK"), versions=[_LOADING]),), "fault"),
    Case("it answers", (_state(_OK),), "ruled-out"),
    Case("it wants a login", (_state(_LOGIN, _LOGIN),), "fault"),
    Case("requests that are refused for their content", (_state(_BAD, _BAD),), "ruled-out"),
    Case("no version folder", (ServerState(log=LogFacts(lines=9, counts={"no_versions": 4})),), "fault"),
)
