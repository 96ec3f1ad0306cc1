"""What may be done to a value before it reaches the model, and what the model says of requests so prepared."""

from typing import Literal

from unstuck.doctor.evidence.base import Evidence

Kind = Literal[
    "affine", "log", "exp", "truncate", "round", "floor", "quantise", "swap bytes", "bits", "half bits",
    "lowercase", "uppercase", "strip", "remove_punctuation", "trim_punctuation", "punctuation_to_blanks",
    "unquote_url", "remove_markup", "unescape_html", "remove_invisible", "compose_unicode", "strip_accents",
    "collapse_blanks", "segment", "split", "characters", "word_pieces", "decode",
]  # fmt: skip


TOGETHER = "every input that is off, by its nearest change"


class Preparation(Evidence):
    """A change of one input's values.

    Attributes:
        name: in words: ``divided by 255``, ``lowercase, split``.
        kinds: what is done, in order; of numbers only one.
        factor, offset: of ``affine``: x * factor + offset, one number for all places or one for each of the last
            dimension; ``offset`` is added before ``log`` and taken off after ``exp``.
        decode: of ``decode``, what is undone: ``base64``, ``hex``, …
        number: of ``swap bytes``, the type that has them: ``int16``, ``float32``, …
    """

    name: str
    kinds: list[Kind]
    factor: list[float] = [1.0]
    offset: list[float] = [0.0]
    decode: str = ""
    number: str = ""


class Trial(Evidence):
    """The model on requests whose ``input`` was prepared.

    Attributes:
        input: empty where nothing was done.
        preparation: its name; ``as sent`` where nothing was done, TOGETHER where several inputs were prepared.
        rows: how many were run.
        failed: how many the model refused; ``message`` says why.
        spread: how far the answers are apart, in units (see Trials).
        changed: how far an answer is from that to the same row as sent, in units, averaged over rows.
        apart: from the answers to the reference, the mean Kolmogorov-Smirnov distance; None without reference.
    """

    input: str
    preparation: str
    rows: int
    failed: int = 0
    message: str = ""
    spread: float = 0.0
    changed: float = 0.0
    apart: float | None = None


class Trials(Evidence):
    """Requests as they are, and prepared in the ways that would make them look like the reference.

    Attributes:
        by: ``model`` or ``endpoint``.
        unit: what the distances are measured in: ``reference`` (how far the answers to the reference are apart),
            ``probability`` (1), or ``magnitude`` (of the answers).
        trials: the first is of the requests as sent.
        left_out: how many preparations could not be tried within the calls and the time that trials may take.
    """

    by: str
    unit: str
    trials: list[Trial]
    left_out: int = 0

    @property
    def as_sent(self) -> Trial:
        return self.trials[0]

    def of(self, input_: str, preparation: str) -> Trial | None:
        """The trial of ``input_`` prepared so, if it could be run."""
        return next((each for each in self.trials if (each.input, each.preparation) == (input_, preparation)), None)

    @property
    def together(self) -> Trial | None:
        """The trial of all inputs that are off at once: alone, one that is put right is hidden by another."""
        return self.of("", TOGETHER)
