"""How much of the inputs' variation survives at each tensor of the model, and where it dies."""

from collections.abc import Mapping

from unstuck.doctor.evidence.base import Evidence

MUCH_LARGER = 4.0
CENTRED = "synthetic centred"  # drawn around what the graph takes off
LOOSE = 1e-3  # of a tensor's magnitude: less movement is next to none


class TensorFacts(Evidence):
    """One tensor over the rows of a pool, each row run alone.

    Attributes:
        tensor: its name in the inlined graph, ``node:0``.
        op, layer, inside: of its node; ``inside`` names the loop or branch that it is in.
        inputs: the tensors that its node takes.
        dtype, shape: of one row's.
        constant: it does not depend on the inputs; the other facts are of its only value.
        alive: whether it differs between rows by more than its precision.
        distinct: how many different values the rows gave.
        spread: the largest difference between two rows, over all elements.
        magnitude: the largest absolute value.
        minimum, maximum, mean: over rows and elements.
        zeros, nonfinite: shares of the elements.
        level: the largest difference between the elements of one row; 0 where they are all equal.
    """

    tensor: str
    op: str
    layer: str
    inputs: list[str]
    inside: str = ""
    dtype: str
    shape: list[int]
    constant: bool = False
    alive: bool = False
    distinct: int = 1
    spread: float = 0.0
    magnitude: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    mean: float = 0.0
    zeros: float = 0.0
    nonfinite: float = 0.0
    level: float = 0.0

    @property
    def node(self) -> str:
        return self.tensor.rsplit(":", 1)[0]

    @property
    def moves(self) -> bool:
        """Whether it differs between rows by more than next to nothing."""
        return self.alive and (not self.magnitude or self.spread > LOOSE * self.magnitude)


class PoolTrace(Evidence):
    """The model run on one pool of rows.

    Attributes:
        pool: ``training``, ``golden``, ``requests``, or ``synthetic`` with how it was drawn.
        rows: how many were run, each alone.
        failed: why it could not be run; empty where it could.
        tensors: inputs first.
        inputs, outputs: the tensor of each alias.
        answers: by output alias, its facts over all rows of the pool.
        links: by node that gives tensors which cannot be fetched, the tensors that it takes.
    """

    pool: str
    rows: int
    failed: str = ""
    tensors: list[TensorFacts] = []
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    answers: dict[str, TensorFacts] = {}
    links: dict[str, list[str]] = {}

    def by_name(self) -> Mapping[str, TensorFacts]:
        return {each.tensor: each for each in self.tensors}

    def output(self, alias: str) -> TensorFacts | None:
        return self.by_name().get(self.outputs.get(alias, ""))

    def is_larger_than(self, other: "PoolTrace") -> bool:
        """Whether an input's values are far beyond those of ``other``."""
        mine, theirs = self.by_name(), other.by_name()
        return any(
            mine[name].magnitude > MUCH_LARGER * theirs[name].magnitude
            for name in self.inputs.values()
            if name in mine and name in theirs
        )

    @property
    def inputs_vary(self) -> bool:
        known = self.by_name()
        return any(known[name].alive for name in self.inputs.values() if name in known)


class BatchDifference(Evidence):
    """An output that answers a row differently beside others than alone.

    Attributes:
        output: its alias.
        difference: the largest, of the output's magnitude.
        node, layer: the first node whose rows differ though those of its inputs do not; empty where not found.
        pool: whose rows.
    """

    output: str
    difference: float
    node: str = ""
    op: str = ""
    layer: str = ""
    pool: str = ""


class VariationTrace(Evidence):
    """All pools, the most telling first, and what a batch changes.

    Attributes:
        deterministic: whether the same row gives the same answer twice.
        differences: None where the batch probe could not be done.
        golden_range: by output alias, how far the golden outputs are apart.
    """

    pools: list[PoolTrace]
    deterministic: bool = True
    differences: list[BatchDifference] | None = None
    golden_range: dict[str, float] = {}

    def pool(self, name: str) -> PoolTrace | None:
        """The pool called ``name`` that could be run, or None."""
        return next((each for each in self.pools if each.pool == name and not each.failed), None)

    def plausible(self) -> list[PoolTrace]:
        """The pools that show what the model does on inputs that it may get.

        Known ones where there are any; else requests and drawn ones, but for those drawn far larger than the requests.
        Where the graph itself takes a centre off its inputs, those drawn elsewhere show nothing beside requests.
        """
        ran = [each for each in self.pools if not each.failed and each.rows > 1 and each.inputs_vary]
        known = [each for each in ran if each.pool in ("training", "golden", "profile")]
        requests = next((each for each in ran if each.pool == "requests"), None)
        if known or requests is None:
            return known or ran
        if centred := [each for each in ran if each.pool == CENTRED]:
            return [requests, *centred]
        return [each for each in ran if "wide" not in each.pool and not each.is_larger_than(requests)]
