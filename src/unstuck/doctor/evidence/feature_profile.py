"""The requests' features against the training data's: does each column hold what it held in training?"""

from unstuck.doctor.evidence.base import Evidence


class ColumnProfile(Evidence):
    """One feature in the requests and in training.

    Attributes:
        feature, input: its name, and the input that holds it.
        apart: the largest difference of the two distribution functions, from 0 to 1 (Kolmogorov-Smirnov).
        constant: the value, as text, that all requests have; None where they differ.
        is_default: the constant is zero, -1, empty, missing, or the mean of training.
        trained_share: of the training examples, those that have the constant.
        trained_distinct: how many different values training had.
    """

    feature: str
    input: str
    apart: float = 0.0
    constant: str | None = None
    is_default: bool = False
    trained_share: float = 0.0
    trained_distinct: int = 0


class Copied(Evidence):
    """Two features that are equal in the requests and are not in training.

    Attributes:
        original, copy: their names; the copy is the one farther from its own training values.
        input: that holds the copy.
        trained_share: of the training examples, those where they are equal.
        distinct: how many different values the requests have.
        copy_apart, original_apart: from their own training values.
    """

    original: str
    copy_: str
    input: str
    trained_share: float
    distinct: int
    copy_apart: float
    original_apart: float


class Moved(Evidence):
    """Features, or axes, whose values are found in each other's place.

    Attributes:
        input: that holds them.
        features: their names.
        what: the rearrangement in words.
        apart: the worst misfit as it is, in units of what chance allows.
        apart_moved: the worst misfit once rearranged.
        is_layout: axes or channels of a tensor, not columns of a feature vector.
        order: for each element or feature, the place in training that its values are of; empty where it is long.
        moves: how far the answers move once the features are put in order, of their range; None where not tried.
    """

    input: str
    features: list[str]
    what: str
    apart: float
    apart_moved: float
    is_layout: bool = False
    order: list[int] = []
    moves: float | None = None


class FeatureProfile(Evidence):
    """All features.

    Attributes:
        requests, training: how many rows each had.
        distinct: how many different request rows.
        columns: bounded to 256.
        copied, moved: what was found.
    """

    requests: int
    training: int
    distinct: int
    columns: list[ColumnProfile] = []
    copied: list[Copied] = []
    moved: list[Moved] = []


class Turned(Evidence):
    """An input whose axes, once in the order ``axes``, have the declared sizes; ``count`` requests send it so."""

    input: str
    axes: list[int]
    sent: list[int]
    declared: list[int]
    count: int


class RequestShapes(Evidence):
    """How many requests were looked at, and inputs whose sizes are on other axes than declared, at most four."""

    requests: int
    turned: list[Turned] = []
