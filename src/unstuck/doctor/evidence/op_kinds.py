"""TensorFlow's ops by what they do to variation."""

RELUS = frozenset({"Relu", "Relu6", "LeakyRelu", "CRelu"})
SQUASHERS = frozenset({"Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Softsign", "Erf", "Elu", "Selu", "Softplus", "Exp"})
LOOKUPS = frozenset({"LookupTableFindV2", "LookupTableFind"})
LOOPS = frozenset({"While", "StatelessWhile"})
BRANCHES = frozenset({"If", "StatelessIf"})
SHAPES = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"})
CHOICES = frozenset({"Select", "SelectV2"})
HIDERS = frozenset({
    "ArgMax", "ArgMin", "Round", "Rint", "Floor", "Ceil", "Sign", "Cast", "ClipByValue", "Minimum", "Maximum",
    "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "TopKV2", "TopK", "OneHot", "FloorDiv",
    "Bucketize", "QuantizeV2", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "Any", "All", "LogicalAnd",
})  # fmt: skip
PRODUCTS = frozenset({
    "MatMul", "BatchMatMulV2", "BatchMatMul", "Einsum", "Conv2D", "Conv3D", "DepthwiseConv2dNative",
    "Conv2DBackpropInput", "FusedBatchNormV3", "FusedBatchNormV2", "FusedBatchNorm", "SparseMatMul",
})  # fmt: skip
GATHERS = frozenset({"GatherV2", "Gather", "ResourceGather", "GatherNd"})
SUMS = frozenset({"BiasAdd", "AddV2", "Add", "Sub", "AddN"})
CUTS = frozenset({"StridedSlice", "Slice", "Split", "SplitV", "Unpack"})
MASKS = frozenset({"NotEqual", "Equal", "Less", "Greater", "GreaterEqual", "LessEqual", "LogicalAnd", "Any", "All"})
TRANSPARENT = frozenset({
    "Identity", "IdentityN", "Cast", "Reshape", "ExpandDims", "Squeeze", "StopGradient", "Transpose", "Pack", "Tile",
    "PreventGradient", "EnsureShape", "ConcatV2", "BroadcastTo", "Enter", "While", "StatelessWhile",
})  # fmt: skip
LABELS = frozenset({
    "ArgMax", "ArgMin", "TopKV2", "TopK", "OneHot", "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual",
    "Any", "All", "LogicalAnd",
})  # fmt: skip
