"""What the diagnosis is about."""

from unstuck.doctor.evidence.base import Evidence

# By what may be handed over, how the command line calls it.
GIVEN = {
    "target": "TARGET",
    "model": "--model",
    "requests": "--requests",
    "training_data": "--training-data",
    "golden": "--golden",
    "server_log": "--server-log",
    "cgroup": "--cgroup",
}


class Subject(Evidence):
    """What was asked, so that a report can be made again from its evidence alone.

    Attributes:
        target: the endpoint's URL; empty for none.
        model: the version's folder or file; empty for none.
        signature: the signature's name; empty where nothing says what there is.
        given: what was handed over, of the keys of ``GIVEN``.
    """

    target: str = ""
    model: str = ""
    signature: str = ""
    given: list[str] = []
