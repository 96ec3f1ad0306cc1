"""Small made-up traces, for the cases that the checks of the model show."""

from unstuck.doctor.evidence.variation import BatchDifference, PoolTrace, TensorFacts, VariationTrace


def tensor(name: str, op: str, *inputs: str, alive: bool = True, **facts: object) -> TensorFacts:
    """A float tensor over two rows that moves by 1, or does not."""
    told: dict[str, object] = {
        "tensor": f"{name}:0", "op": op, "layer": name, "inputs": [f"{each}:0" for each in inputs], "dtype": "float32",
        "shape": [1, 4], "alive": alive, "distinct": 2 if alive else 1, "spread": 1.0 if alive else 0.0,
        "magnitude": 1.0, "minimum": -1.0, "maximum": 1.0, "level": 1.0,
    }  # fmt: skip
    return TensorFacts.model_validate(told | facts)


def trace(*tensors: TensorFacts, differences: list[BatchDifference] | None = None) -> VariationTrace:
    """The trace of a model whose input is the first tensor, and whose output ``y`` is the last, on training rows."""
    first, last = tensors[0], tensors[-1]
    pool = PoolTrace(
        pool="training",
        rows=24,
        tensors=list(tensors),
        inputs={"x": first.tensor},
        outputs={"y": last.tensor},
        answers={"y": last},
    )
    return VariationTrace(pools=[pool], differences=[] if differences is None else differences)


_X = tensor("x", "Placeholder")
_DENSE = tensor("dense", "MatMul", "x", "kernel")
_KERNEL = tensor("kernel", "ReadVariableOp", alive=False, constant=True)
_ZEROS = {"minimum": 0.0, "maximum": 0.0, "magnitude": 0.0, "zeros": 1.0}

ALIVE = trace(_X, _KERNEL, _DENSE, tensor("out", "Sigmoid", "dense"))
DEAD = trace(_X, _KERNEL, _DENSE, tensor("relu", "Relu", "dense", alive=False, **_ZEROS))
SATURATED = trace(_X, _KERNEL, _DENSE, tensor("out", "Sigmoid", "dense", alive=False, minimum=1.0, maximum=1.0))
ZERO_WEIGHTS = trace(
    _X,
    tensor("kernel", "ReadVariableOp", alive=False, constant=True, **_ZEROS),
    tensor("dense", "MatMul", "x", "kernel", alive=False, **_ZEROS),
)
NAN = trace(_X, _KERNEL, tensor("dense", "MatMul", "x", "kernel", alive=False, nonfinite=1.0))
HIDDEN = trace(_X, _KERNEL, _DENSE, tensor("class", "ArgMax", "dense", alive=False, dtype="int64"))
UNRUN = trace(
    _X,
    tensor("start", "Fill", alive=False, constant=True, **_ZEROS),
    tensor("loop/turn", "IdentityN", "x"),
    tensor("loop", "While", "start", "x", alive=False, **_ZEROS),
)
COLLAPSED = trace(
    _X,
    _KERNEL,
    tensor("dense", "MatMul", "x", "kernel", spread=1e-5, magnitude=1e-5),
    tensor("out", "BiasAdd", "dense", "kernel", spread=1e-5, magnitude=1.0),
)
MIXED = trace(
    _X,
    _KERNEL,
    tensor("norm", "FusedBatchNormV3", "x", "kernel"),
    differences=[BatchDifference(output="y", difference=0.4, node="norm", op="FusedBatchNormV3", layer="norm")],
)
