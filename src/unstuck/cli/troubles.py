"""What is wrong with a server, and what is worth knowing, by what its status says. Pure functions."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

WHY_REFUSED = {"wait": "others would wait too long", "memory": "memory is short"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing: whose, what, and what to do or to type."""

    model: str
    version: str
    what: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def table(value: Any) -> dict[str, Any]:
    """An object of JSON; nothing where it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def answers_of(version: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What is known of the answers of a version's signatures."""
    signatures = table(version.get("signatures"))
    return [(name, table(found["answers"])) for name, found in signatures.items() if found["answers"]]


def troubles_of(status: Mapping[str, Any], *, of_one_model: bool, url: str = "URL") -> list[Trouble]:
    """What is wrong, of a status in the shape of ``/statusz``; with ``of_one_model``, what of others is left out.

    ``url`` is the server's, for commands to type.
    """
    found = [trouble for name, model in status["models"].items() for trouble in _of_model(url, name, model)]
    server = status["server"]
    found += [each for worker in _workers(server) if (each := _of_worker(worker)) and not of_one_model]
    if server is not None and not server["ready"] and not found and not of_one_model:
        found.append(Trouble("", "", "the server is not ready", "It is starting or stopping, or has no models yet."))
    return found


def _workers(server: Any) -> list[dict[str, Any]]:
    """Those of a server that has several processes."""
    return table(server).get("workers") or []


def _of_worker(worker: Mapping[str, Any]) -> Trouble | None:
    """One that is down, or is being started again; at first they start one after the other."""
    if worker["state"] == "serving" or not worker["died"]:
        return None
    what = f"worker {worker['number']} does not serve, it is {worker['state']}: it {worker['died']}"
    return Trouble("", "", what, "It wrote last: " + " | ".join(worker["last_words"]) if worker["last_words"] else "")


def _of_model(url: str, name: str, model: Mapping[str, Any]) -> Iterator[Trouble]:
    versions: Mapping[str, Any] = model["versions"]
    for number, version in versions.items():
        if version.get("quarantined"):
            yield Trouble(name, number, *_quarantine(url, name, number, version["quarantined"]))
        elif version["state"] == "END" and version["error"]:
            there_is_memory = " or the memory is there" if version.get("needs_bytes") else ""
            advice = f"It is tried again once its files change{there_is_memory}."
            yield Trouble(name, number, f"is not served: {version['error']}", advice)
        for signature, known in answers_of(version):
            if known["flagged"]:
                what = f"signature {signature!r}: {known['inputs_since_change']} varied inputs got {known['same']}"
                yield Trouble(name, number, what, known["diagnose"] or "")
    if (gate := table(model.get("admission"))) and gate["limited_by"] in WHY_REFUSED:
        what = f"refuses calls beyond {gate['limit']:,} in flight, as {WHY_REFUSED[gate['limited_by']]}"
        yield Trouble(name, "", f"{what}; refused so far: {_refused(gate)}", "Add servers, or send fewer calls.")
    states = [version["state"] for version in versions.values()]
    if "AVAILABLE" not in states:
        if model.get("problem"):
            yield Trouble(name, "", model["problem"])
        elif {"START", "LOADING"} & set(states):
            yield Trouble(name, "", "is not available yet: it is being loaded")
        elif not any(version["error"] for version in versions.values()):
            yield Trouble(name, "", "has no version that serves")


def _refused(gate: Mapping[str, Any]) -> str:
    counts = [f"{count:,} ({reason})" for reason, count in gate["refused"].items() if count]
    return ", ".join(counts) or "none"


def _quarantine(url: str, name: str, number: str, quarantined: Mapping[str, Any]) -> tuple[str, str]:
    since = quarantined["since"][:19].replace("T", " ")
    what = f"is in quarantine since {since}, {quarantined['reason']}: {quarantined['why']}"
    if quarantined["reason"] == "operator":
        return what, f"unstuck quarantine {url} {name} --version={number} --release"
    if not quarantined["attempts"]:
        return what, "It is loaded again by itself."
    times = f"{quarantined['attempts']} times so far, at last in vain: {quarantined['problem']}"
    return what, f"It is loaded again by itself, {times}"


def notes_of(status: Mapping[str, Any]) -> list[Trouble]:
    """What is not wrong, but worth knowing."""
    restarted = [
        Trouble(
            "", "", f"worker {each['number']} was started again ({each['restarts']} times so far): it {each['died']}"
        )
        for each in _workers(status["server"])
        if each["state"] == "serving" and each["died"]
    ]
    limits = [Trouble("", "", each) for each in table(table(status["server"]).get("limits")).get("warnings", ())]
    refused = [
        Trouble(name, "", f"calls were refused so far: {_refused(gate)}")
        for name, model in status["models"].items()
        if (gate := table(model.get("admission"))) and any(gate["refused"].values())
        if gate["limited_by"] not in WHY_REFUSED
    ]
    return (
        restarted
        + limits
        + refused
        + [
            Trouble(name, number, what)
            for name, model in status["models"].items()
            for number, version in model["versions"].items()
            for what in _notes_of_version(version)
        ]
    )


def _notes_of_version(version: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(failed := version.get("golden_rows"), str):
        yield f"it serves although {failed}"
    for signature, known in answers_of(version):
        if known["note"]:
            yield f"signature {signature!r}: {known['note']}"
        for alias in known["constant_outputs"]:
            yield f"signature {signature!r}: output {alias!r} is the same for varied inputs"
    for signature, counts in table(version.get("unlike_training")).items():
        for alias, rows in table(counts).items():
            yield f"signature {signature!r}: input {alias!r} was unlike training in {rows:,} rows"
