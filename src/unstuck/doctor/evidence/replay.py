"""Answers against a reference: are they wrong, and with which change of the inputs would the reference give them?"""

from typing import Literal

from unstuck.doctor.evidence.base import Evidence

Kind = Literal[
    "version", "signature", "output", "swapped", "layout", "dropped", "duplicated", "normalised", "raw", "cast", "cut",
    "untokenised", "vocabulary", "other-row",
]  # fmt: skip

CAUSES: dict[Kind, str] = {
    "version": "mapping/wrong-version",
    "signature": "mapping/wrong-signature",
    "output": "mapping/wrong-signature",
    "swapped": "mapping/swapped-features",
    "layout": "mapping/wrong-layout",
    "dropped": "mapping/dropped-feature",
    "duplicated": "mapping/duplicated-feature",
    "normalised": "preprocessing/double-normalization",
    "raw": "preprocessing/missing-normalization",
    "cast": "preprocessing/wrong-encoding",
    "cut": "preprocessing/truncation",
    "untokenised": "preprocessing/missing-tokenization",
    "vocabulary": "preprocessing/wrong-vocabulary",
    "other-row": "resources/stale-response",
}


class Explanation(Evidence):
    """A hypothesis under which the reference gives the answers that came.

    Attributes:
        kind: which family; ``CAUSES`` has what it means.
        what: the hypothesis in words.
        input: the input, or inputs, that it changes.
        features: what is moved, in the user's names.
        share: of the rows, those whose answer it explains.
        telling: rows that it explains and that it answers otherwise than the reference does.
        gap: how far almost all answers under it are at most from those that came, of their range.
        order: for a rearrangement, the place that each element of a row is taken from; empty where it is long.
        signature, output, version: what is called instead; empty where the kind is another.
    """

    kind: Kind
    what: str
    input: str = ""
    features: list[str] = []
    share: float
    telling: int
    gap: float = 0.0
    order: list[int] = []
    signature: str = ""
    output: str = ""
    version: str = ""

    @property
    def cause(self) -> str:
        return CAUSES[self.kind]


class Comparison(Evidence):
    """Answers compared with a reference's.

    Attributes:
        source: whose inputs they were.
        rows: how many were compared.
        wrong: rows whose answer is clearly another than the reference's.
        right: rows whose answer is the same; what is between the two counts as neither.
        distinct: how many different answers came.
        tried: how many hypotheses were tried.
        explanations: those that explain the answers, the best first.
        example: one wrong answer: input, got and expected, in words.
        pairs: for each row one number of the reference's answer, and the same of the answer that came.
    """

    source: str
    rows: int
    wrong: int = 0
    right: int = 0
    distinct: int = 0
    tried: int = 0
    explanations: list[Explanation] = []
    example: str = ""
    pairs: list[tuple[float, float]] = []

    @property
    def best(self) -> Explanation | None:
        return self.explanations[0] if self.explanations else None

    @property
    def rivals(self) -> list[Explanation]:
        """Explanations of another cause that are as good as the best."""
        return [each for each in self.explanations[1:] if each.cause != self.explanations[0].cause]

    @property
    def is_right(self) -> bool:
        """Whether the answers are the reference's, over enough rows to say so."""
        return self.rows > 0 and not self.wrong and self.right >= 0.95 * self.rows


class EndpointReplay(Comparison):
    """The endpoint's answers against the local model's, on the same inputs."""

    @property
    def prepares_texts(self) -> bool:
        """Whether something before the endpoint's model cleans or splits texts, so that clients need not."""
        return self.best is not None and self.best.kind == "untokenised"


class GoldenReplay(Comparison):
    """The golden answers against the local model's: ``wrong`` are golden rows that the model answers otherwise."""


class GoldenAtEndpoint(Comparison):
    """The golden answers against the endpoint's: ``wrong`` are golden rows that the endpoint answers otherwise."""


class CalledSignatures(Evidence):
    """Which signatures the requests call, and which gives the golden answers.

    Attributes:
        asked: the signature in question.
        called: by signature, how many requests call it.
        golden: the signatures that give the golden answers, of the model or, without one, of the endpoint.
        wrong: golden rows that the signature in question answers otherwise.
        rows: how many golden rows were compared.
        answered: by alias, the dtype and shape of a row's answer, where they are not those that the signature declares.
        declared: the outputs that it declares.
        fits: signatures whose outputs are those that were answered.
    """

    asked: str
    called: dict[str, int] = {}
    golden: list[str] = []
    wrong: int = 0
    rows: int = 0
    answered: dict[str, str] = {}
    declared: dict[str, str] = {}
    fits: list[str] = []
