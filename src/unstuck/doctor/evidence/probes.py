"""What the endpoint does when calls come again, in batches, and at the same time."""

from collections.abc import Mapping

from unstuck.doctor.evidence.base import Evidence

FAILING = 0.05  # of the simultaneous calls: one that was unlucky is not enough
FEW = 3  # calls
MOSTLY = 0.6  # of the wrong answers
ENOUGH, LUCK = 5, 0.01  # wrong answers; the chance that they only happen to come later
OWN = 0.75  # of different inputs must have an answer of their own, or a wrong one meets an earlier one by chance


class Replay(Evidence):
    """An answer that belongs to another input.

    Attributes:
        input: what was asked, in words.
        belongs_to: the input that was asked before and whose answer came.
        got, expected: the two answers, cut; ``expected`` is what the same input was answered otherwise.
    """

    input: str
    belongs_to: str
    got: str
    expected: str


class EarlierAnswers(Evidence):
    """The answers to the first calls, each made once, against the local model's.

    Attributes:
        calls: how many were answered.
        inputs, kinds: how many different inputs they had, and how many different answers the model gives to them.
        wrong: calls whose answer is clearly not the model's.
        earlier: of the wrong ones, those whose answer is exactly the one, right there, of a call with other inputs
            that was made before.
        sources: how many calls' answers those are.
        chance: that all of them come after their source, were there no order in it.
    """

    calls: int
    inputs: int
    kinds: int
    wrong: int = 0
    earlier: int = 0
    sources: int = 0
    chance: float = 1.0

    @property
    def proves_stale(self) -> bool:
        """Every wrong answer had been given before, to another request whose own it was."""
        is_telling = self.kinds >= OWN * self.inputs and self.chance <= LUCK
        return is_telling and self.wrong == self.earlier >= ENOUGH


class RepeatProbe(Evidence):
    """Inputs asked again and again, in other orders, after pauses, and with bodies that differ only in form.

    Attributes:
        inputs: how many different inputs were asked.
        calls: how many calls were answered.
        distinct: how many different answers came in all.
        inconsistent: inputs that were not always given the same answer.
        replays: for each input that once got what an earlier input had got, one example.
        by_truth: how many of the replays the local model confirms.
        contradictions: answers that are not the local model's, and that no input had got before: no replays.
        constant_is_first: all answers are one, and it is the local model's answer to the input that was asked first.
        at_once_differs: how many inputs got two answers when asked twice in a row.
        reframed_differs: how many inputs were answered otherwise once their body had another form.
        first: the calls before these, each made once; None where there is no local model to compare them with.
    """

    inputs: int
    calls: int
    distinct: int
    inconsistent: int
    replays: list[Replay] = []
    by_truth: int = 0
    contradictions: int = 0
    constant_is_first: bool = False
    at_once_differs: int = 0
    reframed_differs: int = 0
    first: EarlierAnswers | None = None

    @property
    def is_stale(self) -> bool:
        """Whether inputs got what an earlier one had got, for certain: they get others, too, or it is always so."""
        return bool(self.replays and self.inconsistent) or (self.first is not None and self.first.proves_stale)


class BatchTrial(Evidence):
    """Rows that alone get different answers, sent as one batch.

    Attributes:
        size: how many rows.
        order: which of the rows, in the batch's order.
        failed: why there was no answer; empty where there was one.
        answered_rows: how many rows the answer had.
        own: how many rows got the answer that they get alone.
        all_equal: whether every row got one and the same.
        equals_row: the row, in the batch's order, whose own answer every row got; None where there is none.
    """

    size: int
    order: list[int]
    failed: str = ""
    answered_rows: int = 0
    own: int = 0
    all_equal: bool = False
    equals_row: int | None = None

    @property
    def is_broadcast(self) -> bool:
        """Every row got one row's answer, or one answer came for all of them."""
        return not self.failed and self.size > 1 and (self.answered_rows == 1 or self.equals_row is not None)


class BatchProbe(Evidence):
    """Distinct rows alone, and in batches.

    Attributes:
        source: whose rows they were.
        rows: how many rows with different answers there were.
        trials: each batch.
    """

    source: str
    rows: int
    trials: list[BatchTrial]

    @property
    def depends_on_mates(self) -> bool:
        """Some row got another answer in a batch than alone."""
        return any(trial.own < trial.size for trial in self.trials if trial.answered_rows == trial.size)


class EndpointBatchProbe(BatchProbe):
    """The endpoint's."""


class ModelBatchProbe(BatchProbe):
    """The local model's."""


class SimultaneousCalls(Evidence):
    """``calls`` calls, ``threads`` at a time; ``failed``: by code, how many did."""

    threads: int
    calls: int
    failed: Mapping[str, int] = {}

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    @property
    def fails(self) -> bool:
        return self.failures >= FEW and self.failures >= FAILING * self.calls


class Mixed(SimultaneousCalls):
    """Answers to simultaneous calls against those to the same calls alone.

    Attributes:
        wrong: answered otherwise than alone.
        others: of the wrong ones, those that got another request's answer.
        one_default: of the wrong ones, the most that got one and the same answer.
        default: that answer, cut.
        swapped_with: how many different requests' answers the wrong ones got.
        wrong_alone_again: of the requests once wrong, those that were wrong again when asked alone afterwards.
        seconds: how long it took in all.
        median_s, p99_s: of all calls.
    """

    wrong: int = 0
    others: int = 0
    one_default: int = 0
    default: str = ""
    swapped_with: int = 0
    wrong_alone_again: int = 0
    seconds: float = 0.0
    median_s: float = 0.0
    p99_s: float = 0.0

    @property
    def is_default(self) -> bool:
        """The wrong answers are mostly one value, and not those of several requests."""
        is_one = self.one_default >= FEW and self.one_default >= MOSTLY * self.wrong
        is_strange = self.swapped_with <= 1 or self.wrong - self.others >= MOSTLY * self.wrong
        return is_one and is_strange and not self.wrong_alone_again


class ConcurrencyProbe(Evidence):
    """Distinct requests in parallel.

    Attributes:
        requests: how many requests with different answers there were.
        alone_failed: how many calls failed when asked alone, of ``alone_calls``.
        alone_median_s: of one call alone.
        unstable: requests that get different answers alone as well; they are left out.
        rounds: by the number of threads.
        messages: the errors, each once, with how often it came.
    """

    requests: int
    alone_calls: int
    alone_failed: int
    alone_median_s: float
    unstable: int = 0
    rounds: list[Mixed]
    messages: Mapping[str, int] = {}

    @property
    def calls(self) -> int:
        return sum(each.calls for each in self.rounds)

    @property
    def failures(self) -> int:
        return sum(each.failures for each in self.rounds)


class LoadLevel(SimultaneousCalls):
    """How fast they were."""

    per_second: float
    median_s: float
    p99_s: float


class LoadRamp(Evidence):
    """Throughput and latency as the number of simultaneous calls grows; it stops where calls fail."""

    levels: list[LoadLevel]
