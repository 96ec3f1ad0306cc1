"""Notices that different inputs get the same answer: the silent failure that this server exists for.

How it decides is in docs/diversity.md; ``streaks`` has the decision on one output.
"""

import logging
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns, thread_time_ns
from typing import Any

from unstuck.core.observers import RunObserver
from unstuck.core.signatures import Signature, Tensor, Tensors
from unstuck.monitor.answers import LEAST_INPUTS, Likeness
from unstuck.monitor.families import Family, Sample
from unstuck.monitor.rows import Differences, Row, hash_of, hash_of_values, rows_of
from unstuck.monitor.sketches import RecentDistinct
from unstuck.monitor.streaks import Streak

log = logging.getLogger(__name__)

FIRST_LOOKS_NS = 100_000_000  # of a signature, without pauses
PAUSE = 300  # after a look, as many times as long as it took: looking takes a third of a percent of one CPU
BURST_NS = 5_000_000_000  # of pauses that are made up for later
LONGEST_WAIT_S = 0.01
MOST_ROWS = 64  # of one run
WINDOW = 2048
LATEST = 256
SKETCH = 256


@dataclass(frozen=True, slots=True)
class Constant:
    """That the answers of a signature have stopped to depend on its inputs.

    Attributes:
        inputs: so many distinct ones in a row had got the same answer when it was noticed.
        same: what of the answers is the same, in words.
        since: when it was noticed, in seconds of the epoch.
    """

    inputs: int
    same: str
    since: float


class SignatureDiversity:
    """The answers of one signature of one version. Thread-safe."""

    def __init__(self, signature: Signature) -> None:
        self.first_looks_ns = FIRST_LOOKS_NS
        self.constant: Constant | None = None
        self._lock = threading.Lock()
        self._examples = signature.takes_examples
        self._streaks: dict[str, Streak] = defaultdict(Streak)  # by output, those that were asked for
        self._differences = Differences()
        self._latest: dict[int, None] = {}  # of inputs, by hash
        self._inputs, self._answers = RecentDistinct(WINDOW, SKETCH), RecentDistinct(WINDOW, SKETCH)

    def look(self, signature: Signature, inputs: Tensors, outputs: Tensors) -> bool:
        """Whether the rows of a run have changed what is known. Skips the run if another thread looks for too long."""
        if not self._lock.acquire(timeout=LONGEST_WAIT_S):
            return False
        try:
            for row in rows_of(signature, inputs, outputs, MOST_ROWS):
                self._add(row)
            before, self.constant = self.constant, self._judge()
            return (before is None) != (self.constant is None)
        finally:
            self._lock.release()

    def _add(self, row: Row) -> None:
        inputs, outputs = row
        input_hash = hash_of(inputs)
        if input_hash in self._latest:  # whoever repeats a request neither proves nor disproves anything
            return
        self._latest[input_hash] = None
        if len(self._latest) > LATEST:
            del self._latest[next(iter(self._latest))]
        answer_hash = hash(tuple([self._add_answer(alias, array, input_hash) for alias, array in outputs.items()]))
        if any(self._streaks[alias].has_just_begun for alias in outputs):
            self._differences.restart(inputs, examples=self._examples)
        else:
            self._differences.add(inputs)
        self._inputs.add(input_hash)
        self._answers.add(answer_hash)

    def _add_answer(self, alias: str, array: Tensor, input_hash: int) -> int:
        """A hash that is the same for answers that are equal up to rounding."""
        streak = self._streaks[alias]
        likeness = streak.add(array, input_hash)
        assert streak.answer is not None
        return streak.answer.hashed if likeness <= Likeness.ROUNDED else hash_of_values(array)

    def _judge(self) -> Constant | None:
        if not self._is_same_for_many() or not any(streak.is_suspicious for streak in self._streaks.values()):
            return None
        return self.constant or Constant(self._same_for(), self._same(), time.time())

    def _is_same_for_many(self) -> bool:
        return self._differences.matter and self._same_for() >= LEAST_INPUTS

    def _same_for(self) -> int:
        """For how many distinct inputs in a row no output has changed."""
        return min((streak.inputs for streak in self._streaks.values()), default=0)

    def _same(self) -> str:
        if any(streak.likeness is Likeness.SAME_CLASS for streak in self._streaks.values()):
            return "the same class"
        return "the same answer"

    def document(self) -> dict[str, Any]:
        """What is known, as values of JSON."""
        with self._lock:
            constant = self.constant
            varies = self._same_for() < LEAST_INPUTS
            stuck = [alias for alias, streak in self._streaks.items() if varies and streak.is_suspicious]
            return {
                "distinct_inputs": self._inputs.count,
                "distinct_outputs": self._answers.count,
                "inputs_since_change": self._same_for(),
                "flagged": constant is not None,
                "since": constant.since if constant else None,
                "same": constant.same if constant else "",
                "constant_outputs": sorted(stuck),
                "note": "" if constant else self._note(),
            }

    def _note(self) -> str:
        """What is no reason to wonder yet."""
        if not self._is_same_for_many():
            return ""
        return f"{self._same_for()} varied inputs in a row got the same label or number, which may be right."


Told = Callable[[str, int, str, Constant | None], None]  # model, version, signature; None: answers vary again
CommandOf = Callable[[str], str]  # what to type to find out why a signature's answers are constant


class AnswerDiversity(RunObserver):
    """The answers of one version, by signature. Thread-safe.

    ``notices``: by signature, what its callers are to be told; empty while answers vary.
    """

    def __init__(
        self,
        name: str,
        version: int,
        signatures: Mapping[str, Signature],
        command_of: CommandOf,
        told: Told,
        gate: "Gate",
    ) -> None:
        self.name, self.version = name, version
        self.notices: dict[str, str] = {}
        self.signatures = {each.name: SignatureDiversity(each) for each in signatures.values() if each.inputs}
        self._gate = gate
        self._told = told
        self._command_of = command_of

    def ran(self, signature: Signature, inputs: Tensors, outputs: Tensors, rows: Sequence[int]) -> None:
        state = self.signatures.get(signature.name)
        if state is not None and (perf_counter_ns() > self._gate.opens_ns or state.first_looks_ns > 0):
            self._look(state, signature, inputs, outputs)

    def _look(self, state: SignatureDiversity, signature: Signature, inputs: Tensors, outputs: Tensors) -> None:
        start = thread_time_ns()
        try:
            if state.look(signature, inputs, outputs):
                self._change(signature.name, state.constant)
        except Exception:  # whatever it is, the call that is being answered must not suffer from it
            log.exception("The answers of signature %r of model %r are watched no more", signature.name, self.name)
            self.signatures = {name: each for name, each in self.signatures.items() if each is not state}
        took_ns = thread_time_ns() - start
        if state.first_looks_ns > 0:
            state.first_looks_ns -= took_ns
        else:
            self._gate.close_for(PAUSE * took_ns)

    def _change(self, signature_name: str, constant: Constant | None) -> None:
        if constant is None:
            self.notices.pop(signature_name, None)
        else:
            what = f"{constant.inputs} varied inputs in a row got {constant.same}"
            self.notices[signature_name] = f"{what}: {self._command_of(signature_name)} finds out why"
        self._told(self.name, self.version, signature_name, constant)


class Gate:
    """When the next look may be taken; one for all versions, as they share the CPU. After a quiet time, many may."""

    def __init__(self) -> None:
        self.opens_ns = 0

    def close_for(self, ns: int) -> None:
        self.opens_ns = max(self.opens_ns, perf_counter_ns() - BURST_NS) + ns


class DiversityMonitor:
    """The answers of every version that serves. Thread-safe."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._gate = Gate()
        self._lock = threading.Lock()
        self._watched: weakref.WeakValueDictionary[tuple[str, int], AnswerDiversity] = weakref.WeakValueDictionary()

    def watch(
        self, name: str, version: int, signatures: Mapping[str, Signature], command_of: CommandOf
    ) -> AnswerDiversity:
        """Watches a version for as long as somebody holds what this returns."""
        watched = AnswerDiversity(name, version, signatures, command_of, self._told, self._gate)
        with self._lock:
            self._watched[name, version] = watched
        return watched

    def document(self, name: str, version: int) -> dict[str, dict[str, Any]]:
        """What is known of a version's answers, by signature, as values of JSON."""
        with self._lock:
            watched = self._watched.get((name, version))
        return {} if watched is None else {key: each.document() for key, each in watched.signatures.items()}

    def families(self) -> Iterable[Family]:
        with self._lock:
            watched = sorted(self._watched.values(), key=lambda each: (each.name, each.version))
        known = [(_labels(each, name), state.document()) for each in watched for name, state in each.signatures.items()]
        for name, key, text in _FAMILIES:
            yield Family(name, "gauge", text, [Sample("", labels, float(found[key])) for labels, found in known])


_FAMILIES = (
    ("unstuck_distinct_inputs", "distinct_inputs", f"Distinct inputs among the latest looked at, {WINDOW} at most."),
    ("unstuck_distinct_outputs", "distinct_outputs", "Distinct answers to these inputs."),
    ("unstuck_constant_answers", "flagged", "1 while varied inputs get the same answer, else 0."),
)


def _labels(watched: AnswerDiversity, signature_name: str) -> dict[str, str]:
    return {"model": watched.name, "version": str(watched.version), "signature": signature_name}
