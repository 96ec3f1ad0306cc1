"""Features in each other's place: which takes whose, and what the answers are once they are put in order."""

from collections.abc import Callable, Collection, Mapping, Sequence

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.experiments.endpoint_state import serving
from unstuck.doctor.experiments.explaining import Matcher
from unstuck.doctor.experiments.running import EndpointRunner, ModelRunner
from unstuck.doctor.experiments.transformations import Array, Group
from unstuck.doctor.lab import Lab
from unstuck.errors import UnstuckError

FIT = 1.0  # of what chance lets two samples of one distribution be apart
MISFIT = 1.25  # of the same: another distribution
LEAST_MISFITS = 3  # columns that do not fit their own place, of those that begin at another
BETTER = 2.0  # times, that the exchange must fit better
ROWS = 12  # that the answers are asked for


def exchanged(candidates: Sequence[int], apart: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """By feature, the one in training whose values it holds; empty where there are no such cycles.

    Args:
        candidates: features that do not fit their own training values.
        apart: by (feature in the requests, feature in training), how far they are apart.
    """
    kept = set(candidates)
    while True:
        fitting = {one: _fitting(one, kept, apart) for one in kept}
        taken = {other for others in fitting.values() for other in others}
        lone = {one for one in kept if not fitting[one] or one not in taken}
        if not lone:
            break
        kept -= lone
    takes = _matched(fitting)
    while loose := [one for one in takes if takes[one] not in takes or one not in takes.values()]:
        takes = {one: other for one, other in takes.items() if one not in loose}
    # Where several fit, drift makes cycles by chance; only of features that are moved is each explained.
    is_clear = all(len(fitting[one]) == 1 for one in takes) or len(takes) == len(candidates)
    if not takes or not is_clear:
        return {}
    fits_better = min(apart[at, at] for at in takes) >= BETTER * max(apart[at, takes[at]] for at in takes)
    return takes if fits_better else {}


def turned(count: int, apart: Callable[[int, int], float]) -> dict[int, int]:
    """As ``exchanged``, where all columns of one input begin at another place, as flags before numbers do.

    All of them must fit then, and in no other turn: columns of few values, which fit many others, are told so, too.
    """
    if sum(apart(at, at) > MISFIT for at in range(count)) < LEAST_MISFITS:
        return {}
    turns = ({at: (at + places) % count for at in range(count)} for places in range(1, count))
    fitting = [takes for takes in turns if all(apart(at, other) <= FIT for at, other in takes.items())]
    return fitting[0] if len(fitting) == 1 else {}


def _fitting(one: int, others: Collection[int], apart: Mapping[tuple[int, int], float]) -> list[int]:
    """Those of ``others`` whose training values ``one`` fits, the nearest first."""
    fitting = [other for other in others if other != one and apart[one, other] <= FIT]
    return sorted(fitting, key=lambda other: apart[one, other])


def _matched(fitting: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """As many as can be, each with one of those that fit it, and none with another's."""
    holder: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for other in fitting[one]:
            if other not in tried:
                tried.add(other)
                if other not in holder or place(holder[other], tried):
                    holder[other] = one
                    return True
        return False

    for one in sorted(fitting, key=lambda one: len(fitting[one])):
        place(one, set())
    return {one: other for other, one in holder.items()}


def put_right(lab: Lab, group: Group, takes: Mapping[int, int], requests: Mapping[str, Array]) -> float | None:
    """How far the answers move once each feature is in its place, of their range; None where nothing answers."""
    sent = {alias: values[:ROWS] for alias, values in requests.items()}
    try:
        if lab.question.model is not None:
            run = ModelRunner(lab.model, lab.signature)
        else:
            run = EndpointRunner(serving(lab), lab.signature, 2 * ROWS)
        as_sent, right = run(sent), run(group.moved(sent, {place: at for at, place in takes.items()}))
    except (NotRun, UnstuckError):
        return None
    if not right:
        return None
    return min(Matcher(right, as_sent).gap(as_sent), 1e9) if as_sent else 1.0
