"""Tokens and ids against the vocabulary that the model knows."""

from unstuck.doctor.evidence.base import Evidence
from unstuck.doctor.evidence.preparation import Preparation

SOME = 0.2  # of the tokens


class Treatment(Evidence):
    """The share of unknown tokens once the requests' texts are prepared so."""

    preparation: Preparation
    unknown: float


class Shift(Evidence):
    """Ids that are those of training, moved.

    Attributes:
        by: how much is to be taken off.
        apart, apart_moved: how far their distribution is from training's, as it is and moved: 0 to 1.
    """

    by: int
    apart: float
    apart_moved: float


class TokenFacts(Evidence):
    """One input's tokens, as they reach the vocabulary.

    Attributes:
        input, dtype, shape: as the signature says, the batch left out (-1 for any size).
        known_by: ``table``, ``embedding`` or ``training``: what says which tokens are known.
        name: of the table or the embedding's weight.
        entries: how many tokens are known.
        tokens: how many the requests have, empty ones left out.
        unknown: the share of them that is not known; for an embedding, that is out of its range.
        repeated: the share of the unknown tokens that came before: high where they are of a vocabulary of their own.
        trained_unknown: the same of the reference, by a table or embedding; by ``training``, of one half of it against
            the other. None without reference.
        unseen: the share of tokens that the reference does not have; None without reference, or where its own halves
            do not share their tokens.
        shift: of ids, where they are training's, moved by a constant; None where they are not.
        treatments: the best first.
        examples, known_examples: some unknown tokens, some known ones.
        trained_length: tokens of a row in training, or else words of a request, at most.
    """

    input: str
    dtype: str
    shape: list[int]
    known_by: str
    name: str = ""
    entries: int = 0
    tokens: int = 0
    unknown: float = 0.0
    repeated: float = 0.0
    trained_unknown: float | None = None
    unseen: float | None = None
    shift: Shift | None = None
    treatments: list[Treatment] = []
    examples: list[str] = []
    known_examples: list[str] = []
    trained_length: int = 0


class VocabularyProbe(Evidence):
    """All inputs that hold tokens or ids."""

    signature: str
    inputs: list[TokenFacts]

    def once_decoded(self, input_: str, writing: str) -> tuple[float, float] | None:
        """The shares of unknown tokens as sent and once decoded; None where the model knows hardly more."""
        tokens = next((each for each in self.inputs if each.input == input_), None)
        decoded = [each.unknown for each in (tokens.treatments if tokens else ()) if each.preparation.decode == writing]
        if tokens is None or not decoded or tokens.unknown < SOME or min(decoded) > 0.5 * tokens.unknown:
            return None
        return tokens.unknown, min(decoded)
