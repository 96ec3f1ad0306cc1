"""The statuses of several workers, in the shape of ``/statusz``, as one server's. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

KEPT_EVENTS = 200

Document = Mapping[str, Any]


def merged(documents: Mapping[int, Document], server: Mapping[str, Any]) -> dict[str, Any]:
    """One document.

    Args:
        documents: of the workers that answered, by their numbers; at least one.
        server: what takes the place of their own ``server``'s fields.
    """
    first = next(iter(documents.values()))
    names = dict.fromkeys(name for each in documents.values() for name in each["models"])
    events = [{**event, "worker": number} for number, each in documents.items() for event in each["events"]]
    return {
        "schema": first["schema"],
        "server": {**first["server"], **server},
        "models": {name: _model(_having(documents, "models", name)) for name in names},
        "events": sorted(events, key=lambda event: event["time"])[-KEPT_EVENTS:],
    }


def _having(documents: Mapping[int, Document], field: str, name: str) -> dict[int, Any]:
    return {number: each[field][name] for number, each in documents.items() if name in each[field]}


def _model(models: Mapping[int, Document]) -> dict[str, Any]:
    first = next(iter(models.values()))
    numbers = sorted({version for each in models.values() for version in each["versions"]}, key=int)
    return {
        **first,
        "admission": _admission([each["admission"] for each in models.values() if each["admission"]]),
        "problem": next((each["problem"] for each in models.values() if each["problem"]), ""),
        "versions": {number: _version(_having(models, "versions", number)) for number in numbers},
    }


def _admission(gates: Sequence[Document]) -> Document | None:
    """What all workers have in flight together, may have, and refused; limited as where it is limited most."""
    if not gates:
        return None
    worst = next((each for each in gates if each["limited_by"] != "requests"), gates[0])
    added = {name: sum(each[name] for each in gates) for name in ("in_flight", "bytes_in_flight", "limit")}
    refused = {reason: sum(each["refused"][reason] for each in gates) for reason in worst["refused"]}
    wait_s = max(each["expected_wait_s"] for each in gates)
    return {**added, "limited_by": worst["limited_by"], "expected_wait_s": wait_s, "refused": refused}


def _version(versions: Mapping[int, Document]) -> dict[str, Any]:
    """That of the worker where it is worst; of a version that serves, with what is known of its answers anywhere."""
    worst = min(versions.values(), key=_goodness)
    merged = dict(worst)
    states = {number: each["state"] for number, each in versions.items()}
    if len(set(states.values())) > 1:
        merged["states"] = {str(number): state for number, state in states.items()}
    serving = [each for each in versions.values() if "signatures" in each]
    if "signatures" in worst:
        merged["signatures"] = {
            name: {**each, "answers": _answers([other["signatures"][name]["answers"] for other in serving])}
            for name, each in worst["signatures"].items()
        }
        merged["unlike_training"] = _added([each["unlike_training"] for each in serving])
    return merged


def _goodness(version: Document) -> int:
    if version["error"]:
        return 0
    return 2 if version["state"] == "AVAILABLE" else 1


def _answers(known: Sequence[Document | None]) -> Document | None:
    """The flagged ones, or else those that most is known of: inputs that several workers saw are not told apart."""
    there_is = [each for each in known if each is not None]
    return max(there_is, key=lambda each: (bool(each["flagged"]), each["distinct_inputs"]), default=None)


def _added(counts: Sequence[Mapping[str, Mapping[str, int]] | None]) -> dict[str, dict[str, int]] | None:
    there_is = [each for each in counts if each is not None]
    if not there_is:
        return None
    added: dict[str, dict[str, int]] = {}
    for each in there_is:
        for signature, by_input in each.items():
            row = added.setdefault(signature, {})
            for alias, rows in by_input.items():
                row[alias] = row.get(alias, 0) + rows
    return added
