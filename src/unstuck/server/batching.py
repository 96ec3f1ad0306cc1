"""TensorFlow Serving's batching: the threads that run batches, and how the calls of each version wait for them."""

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path

from unstuck.batching.proof import Verdict
from unstuck.batching.sizes import BatchSize
from unstuck.batching.timed import TimedBatches
from unstuck.config.batching_parameters import IN_VERSION, read_batching_parameters
from unstuck.core.batching import Batching, BatchingParameters
from unstuck.core.cpus import usable_cpus
from unstuck.core.servables import AvailableModel
from unstuck.inference.batched import Run, parameters_of, run_batch, split
from unstuck.inference.together import is_key_of
from unstuck.lifecycle.source import VersionPath

Sizes = Callable[[], Mapping[Hashable, BatchSize]]

events = logging.getLogger("unstuck.versions")  # what an operator wants to read while the server runs


class ServerBatching:
    """One a server: its threads are shared by all models, as TensorFlow Serving's are. Thread-safe; ``stop`` once."""

    def __init__(self, parameters: BatchingParameters, *, per_model: bool, processes: int = 1) -> None:
        """Starts the threads.

        Args:
            parameters: how calls wait, and how many threads there are.
            per_model: whether calls wait as each version's own file says, those of versions without one not at all.
            processes: that serve together, and share threads and queues evenly.
        """
        self._parameters = parameters
        self._processes = processes
        self._per_model = per_model
        threads = parameters.num_batch_threads or usable_cpus()
        threads = max(threads // processes, 1)
        self._batches: TimedBatches[Run] = TimedBatches(run_batch, threads, parameters_of, split)

    def of(self, name: str, found: VersionPath, verdicts: Mapping[str, Verdict]) -> Batching | None:
        """How the calls of a version wait; None where they do not.

        A signature whose rows are known to answer differently together is left out, and that is said: a flag for
        speed must not change answers.

        Raises:
            SetupError: the version's own file cannot be used.
        """
        parameters = self._parameters_of(found.path)
        if parameters is None:
            return None
        for signature, verdict in verdicts.items():
            if verdict.is_wrong:
                events.warning(
                    "Model %r version %d, signature %r: its calls are not batched, although --enable_batching is "
                    "given: %s",
                    *(name, found.version, signature, verdict.why_not),
                )
        most = max(parameters.max_enqueued_batches // self._processes, 1)
        parameters = replace(parameters, max_enqueued_batches=most)
        batched = {signature: parameters for signature, verdict in verdicts.items() if not verdict.is_wrong}
        return Batching(batched, self._batches.add)

    def stop(self) -> None:
        """Answers the calls that wait, and ends the threads."""
        self._batches.stop()

    def _parameters_of(self, path: Path) -> BatchingParameters | None:
        if not self._per_model:
            return self._parameters
        file = (path if path.is_dir() else path.parent) / IN_VERSION
        return read_batching_parameters(file) if file.is_file() else None


def learned_batch(sizes: Sizes, version: AvailableModel, signature_name: str) -> dict[str, float] | None:
    """Of longer calls that go together without a timer: how many rows, and how much cheaper a row is then.

    Args:
        sizes: what was learned of each key's batches.
        version: one that serves.
        signature_name: of its calls; where those of several shapes go apart, the largest batch counts.

    Returns:
        ``rows`` and ``gain``; None where no batch was compared with a call alone.
    """
    known = [size for key, size in sizes().items() if size.is_known and is_key_of(key, version, signature_name)]
    largest = max(known, key=lambda size: size.rows, default=None)
    return None if largest is None else {"rows": largest.rows, "gain": round(largest.gain, 3)}
