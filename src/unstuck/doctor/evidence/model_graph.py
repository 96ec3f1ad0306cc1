"""What the model's graph says, without running it on data."""

from unstuck.doctor.evidence.base import Evidence


class WeightFacts(Evidence):
    """A variable, or a large constant, that the signature reads.

    Attributes:
        name: as the user, or the framework, named it.
        layer: the layer that reads it.
        shape: its sizes; empty for a scalar.
        minimum, maximum, mean, std: over its finite elements.
        zeros, nonfinite: shares of its elements.
        initialised: whether it has a value.
    """

    name: str
    layer: str
    shape: list[int]
    dtype: str
    minimum: float = 0.0
    maximum: float = 0.0
    mean: float = 0.0
    std: float = 0.0
    zeros: float = 0.0
    nonfinite: float = 0.0
    initialised: bool = True


class TableFacts(Evidence):
    """A lookup table after loading.

    Attributes:
        entries: what it holds; None where it cannot be counted.
        source: the asset's file name, or where else its entries come from.
        layer: the layer that looks up in it.
        reached: whether the signature looks something up in it.
    """

    name: str
    entries: int | None
    source: str
    layer: str = ""
    reached: bool = True


class ModelGraph(Evidence):
    """The graph of the signature in question.

    Attributes:
        load_error: why the framework cannot load the model; empty where it can.
        missing_files: files that the model names and that are not there, or are empty.
        stand_ins: by file that the model names, what is there in its place: a pointer, an error page.
        inputs, outputs: ``dtype shape`` by alias.
        reaches: by output alias, the input aliases that it depends on.
        valueless: by input alias, the nodes that take its shape, not its values (``ZerosLike``), where it reaches no
            output; what was computed of the input before is none of it.
        unfed: placeholders with a default that no signature input feeds, and that an output depends on.
        training_norms: batch normalisations that use the statistics of the batch, by node.
    """

    signature: str
    load_error: str = ""
    missing_files: list[str] = []
    stand_ins: dict[str, str] = {}
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    reaches: dict[str, list[str]] = {}
    valueless: dict[str, list[str]] = {}
    unfed: list[str] = []
    training_norms: list[str] = []
    weights: list[WeightFacts] = []
    tables: list[TableFacts] = []
