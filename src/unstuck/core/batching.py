"""How calls wait for others to run with, as TensorFlow Serving's BatchingParameters say it."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Merging = Literal["off", "auto", "on"]  # whether calls that come together run together, without waiting for others


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """Sizes are rows: the first dimension of a call's inputs. The names are those of TensorFlow Serving's files.

    Attributes:
        max_batch_size: the largest call, and the largest batch unless ``max_execution_batch_size`` is less.
        batch_timeout_micros: how long the first call of a batch waits for others; 0: as long as no thread is free.
        max_enqueued_batches: how many batches of one signature may wait; further calls are refused.
        num_batch_threads: that run batches, for all models; 0 is one a CPU.
        allowed_batch_sizes: ascending; a batch is padded to the next of them. Empty: every size is allowed.
        pad_variable_length_inputs: whether inputs that differ in further dimensions are padded to the largest.
        enable_large_batch_splitting: whether a call may be split to fill batches.
        max_execution_batch_size: the largest batch where calls are split; 0 is ``max_batch_size``.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 0
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    @property
    def largest_batch(self) -> int:
        """The most rows that run together."""
        return (self.enable_large_batch_splitting and self.max_execution_batch_size) or self.max_batch_size

    def padded(self, rows: int) -> int:
        """How many rows a batch of ``rows`` runs with."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


@dataclass(frozen=True, slots=True)
class Batching:
    """How the calls of one version wait for others.

    Attributes:
        parameters: by signature; calls of those that are not in it do not wait.
        add: ``add(key, run, rows)`` queues one run. Raises QueueFull, or InvalidRequest for one that is too large.
    """

    parameters: Mapping[str, BatchingParameters]
    add: Callable[[Hashable, Any, int], None]
