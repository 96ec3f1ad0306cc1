"""How long one output has given the same answer, beside how long it usually does."""

from collections import Counter

from unstuck.core.signatures import Tensor
from unstuck.monitor.answers import LEAST_INPUTS, Answer, Likeness, answer_of, second_best
from unstuck.monitor.sketches import DistinctCount

USUAL_STREAKS = 20  # by chance, a streak is as many times as long as is usual once in e^20
FORGET_AFTER = 1024  # streaks
SKETCH = 256
FEW_STREAKS = 8  # of numbers, fewer prove little about what is usual
LATEST = 32
EXCEPTION = 1.5 / LATEST  # among the latest equal numbers that is forgiven, from the LEAST_EQUAL-th on
LEAST_EQUAL = 4
SAME_SECOND = 3 / 4  # of the answers: who is asked about one class alone sees several others come second
MAX_SECONDS = 64
EXCEPTIONS = 1 / 8  # once they are suspicious: answers vary again if there are more


class Streak:
    """The distinct inputs since one output's answer last changed. Not thread-safe; of bounded memory.

    Attributes:
        answer: the answer to them; None before the first.
        likeness: the least among their answers.
        has_just_begun: whether only the latest input has got it.
    """

    def __init__(self) -> None:
        self._inputs = DistinctCount(SKETCH)
        self._past_streaks = self._past_inputs = 0
        self._exceptions = 0.0
        self._seconds: Counter[int] = Counter()
        self.answer: Answer | None = None
        self.likeness = Likeness.EQUAL
        self.has_just_begun = False

    def add(self, array: Tensor, input_hash: int) -> Likeness:
        """How this answer is like those before."""
        likeness = Likeness.OTHER if self.answer is None else self.answer.likeness(array)
        self.has_just_begun = likeness is Likeness.OTHER and not self._forgives()
        if self.has_just_begun:
            self._learn()
            self.answer, self.likeness, self._exceptions = answer_of(array), Likeness.EQUAL, 0.0
            self._inputs.clear()
            self._seconds.clear()
        elif likeness is not Likeness.OTHER:
            self.likeness = max(self.likeness, likeness)
            self._exceptions -= self._exceptions / LATEST
        if self.answer is not None and self.answer.kind == "classes" and len(self._seconds) < MAX_SECONDS:
            self._seconds[second_best(array)] += 1
        self._inputs.add(input_hash)
        return likeness

    @property
    def inputs(self) -> int:
        """How many distinct inputs have got this answer, one after the other, but for rare exceptions."""
        return self._inputs.count

    @property
    def is_suspicious(self) -> bool:
        """Whether a model in order would hardly answer so many inputs alike."""
        return self.inputs >= LEAST_INPUTS and self.inputs >= self._needed()

    def _forgives(self) -> bool:
        """Whether one other answer ends nothing. No rare class explains equal numbers: few others change little."""
        if self.answer is None or self.answer.kind != "numbers" or self.inputs < LEAST_EQUAL:
            return False
        self._exceptions += (1 - self._exceptions) / LATEST
        return self._exceptions <= (EXCEPTIONS if self.is_suspicious else EXCEPTION)

    def _needed(self) -> int:
        assert self.answer is not None
        few = FEW_STREAKS if self.answer.kind == "numbers" else 1
        usual = self._past_inputs / max(self._past_streaks, few)
        needed = self.answer.inputs_needed(self.likeness, same_second=self._has_same_second())
        return max(needed, round(USUAL_STREAKS * usual))

    def _has_same_second(self) -> bool:
        return max(self._seconds.values(), default=0) >= SAME_SECOND * self._seconds.total()

    def _learn(self) -> None:
        """How long streaks usually are; a suspicious one counts as what made it so."""
        inputs = self._inputs.count
        if not inputs:
            return
        self._past_streaks += 1
        self._past_inputs += inputs if inputs < LEAST_INPUTS else min(inputs, self._needed())
        if self._past_streaks >= FORGET_AFTER:
            self._past_streaks //= 2
            self._past_inputs //= 2
