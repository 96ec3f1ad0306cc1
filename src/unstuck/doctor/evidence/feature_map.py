"""How far each feature moves the answers: of the local model, and of the endpoint."""

from unstuck.doctor.evidence.base import Evidence

USED = 0.02  # of the output's range: a feature that moves it less is hardly used


class FeatureEffect(Evidence):
    """One feature, moved while the others stay.

    Attributes:
        feature: its name.
        input: the input that holds it.
        is_input: whether it is a whole input of the signature, not a column of one.
        trials: how often it was moved to another value.
        moved: how many of the trials changed the answer.
        effect: the largest change, of the range of the answers.
        residual: with golden answers, how well it ranks the model's errors: a rank correlation from 0 to 1.
    """

    feature: str
    input: str
    is_input: bool
    trials: int
    moved: int
    effect: float
    residual: float = 0.0


class FeatureEffects(Evidence):
    """Of every feature.

    Attributes:
        source: whose rows they were.
        rows: how many base rows there were.
        features: in the order of the inputs.
        distinct: how many different answers the base rows got.
        golden_rows: how many golden rows ``residual`` is of.
        left_out: features that were too many to be moved.
    """

    source: str
    rows: int
    features: list[FeatureEffect]
    distinct: int = 0
    golden_rows: int = 0
    left_out: int = 0

    def named(self, feature: str) -> FeatureEffect | None:
        return next((each for each in self.features if each.feature == feature), None)

    @property
    def silent(self) -> list[FeatureEffect]:
        """Features that were moved and never changed an answer."""
        return [each for each in self.features if each.trials and not each.moved]

    @property
    def telling(self) -> list[FeatureEffect]:
        return [each for each in self.features if each.moved]


class Sensitivity(FeatureEffects):
    """The local model's."""


class ModelWiring(Evidence):
    """Where the model's graph moves features before it computes with them.

    Attributes:
        node: the first node that puts them in another order, repeats or leaves out some; empty where none does.
        op: its type.
        lost: features that nothing computes with.
        twice: features that are computed with in two places of one tensor.
        order: of a lone vector input, the place that each place of the moved tensor is taken from; up to 64.
    """

    node: str = ""
    op: str = ""
    lost: list[str] = []
    twice: list[str] = []
    order: list[int] = []


class EndpointSensitivity(FeatureEffects):
    """The endpoint's. ``effect`` is of the range of its own answers."""


class Renamed(Evidence):
    """A key that the parser looks for and no tf.Example has, and one that is sent and not read, of a like name.

    Attributes:
        moves: how far the answers move once the one is sent by the other's name, of their range.
    """

    wanted: str
    sent: str
    moves: float


class ExampleKeys(Evidence):
    """The keys of the requests' tf.Examples against those that the graph's parser looks for.

    Attributes:
        input: that holds the tf.Examples.
        source: whose they were: ``requests``, or ``golden``.
        rows: how many were looked at.
        absent: keys that the parser looks for and none has.
        unread: keys that all have and no parser looks for.
        renamed: pairs of the two.
    """

    input: str
    source: str = "requests"
    rows: int
    absent: list[str] = []
    unread: list[str] = []
    renamed: list[Renamed] = []


def chance(moved: int, trials: int, silent: int) -> float:
    """How likely as many trials move nothing as ``silent``, where ``moved`` of ``trials`` move something."""
    return (1 - moved / trials) ** silent if trials else 1.0
