"""Small made-up evidence on requests, for the cases that the checks of preprocessing show."""

from unstuck.doctor.evidence.preparation import Preparation, Trial, Trials
from unstuck.doctor.evidence.profile import Fit, InputComparison, Numbers, PlaceComparison, ProfileComparison
from unstuck.doctor.evidence.replay import EndpointReplay, Explanation, Kind
from unstuck.doctor.evidence.request_facts import InputFacts, Misfit, RequestFacts, Writing
from unstuck.doctor.evidence.samples import tensor
from unstuck.doctor.evidence.variation import PoolTrace, TensorFacts, VariationTrace
from unstuck.doctor.evidence.vocabulary import Shift, TokenFacts, Treatment, VocabularyProbe


def facts(rows: int = 40, distinct: int = 40, **of_input: object) -> RequestFacts:
    """Requests to one input ``x`` of four floats."""
    told = {"input": "x", "dtype": "float", "shape": [4], "sent_shape": [4], "rows": rows, "distinct": distinct}
    return RequestFacts(
        signature="serving_default",
        requests=rows,
        rows=rows,
        distinct=distinct,
        distinct_bodies=distinct,
        inputs=[InputFacts.model_validate(told | of_input)],
    )


def place(
    sent: tuple[float, float], known: tuple[float, float], apart: float, outside: float, whole: tuple[float, float]
) -> PlaceComparison:
    """A place with these means and deviations; values reach two deviations far."""
    return PlaceComparison(
        name="", requests=_numbers(*sent, whole[0]), reference=_numbers(*known, whole[1]), apart=apart, outside=outside
    )


def _numbers(mean: float, std: float, whole: float) -> Numbers:
    return Numbers(mean=mean, std=std, minimum=mean - 2 * std, maximum=mean + 2 * std, whole=whole, distinct=30)


def comparison(each: PlaceComparison, *fits: Fit, reference: str = "training") -> ProfileComparison:
    """Of input ``x``, whose four places are alike."""
    return ProfileComparison(
        signature="serving_default",
        inputs=[
            InputComparison(
                input="x", dtype="float", shape=[4], reference=reference, rows=40, reference_rows=200,
                places=[each.model_copy(update={"name": str(at)}) for at in range(4)], apart=each.apart,
                fits=list(fits), grows=False if reference == "graph" else None,
            )
        ],
    )  # fmt: skip


_BY_255 = Preparation(name="divided by 255", kinds=["affine"], factor=[1 / 255])
_TIMES_255 = Preparation(name="times 255", kinds=["affine"], factor=[255.0])
_OWN = Preparation(name="to training's mean and deviation", kinds=["affine"], factor=[0.01], offset=[-4.0])
_UNDONE = Preparation(name="undone", kinds=["affine"], factor=[20.0], offset=[400.0])
_TRUNCATED = Preparation(name="cast to integers", kinds=["truncate"])


def trials(*, changed: float = 0.5, refused: int = 0) -> Trials:
    """The model's answers move by ``changed`` once the requests are prepared."""
    names = [("x", each.name) for each in (_BY_255, _TIMES_255, _OWN, _UNDONE)] + [("x", "base64")]
    return Trials(
        by="model",
        unit="reference",
        trials=[
            Trial(input="", preparation="as sent", rows=20, failed=refused),
            *(Trial(input=alias, preparation=name, rows=20, spread=0.9, changed=changed) for alias, name in names),
        ],
    )


SENT = facts()
REPEATED = facts(distinct=1, zeros=1.0)
FEW = facts(rows=8, distinct=1)
MISFITS = RequestFacts(
    signature="serving_default", requests=30, rows=0, distinct=0, distinct_bodies=30, refused=30,
    misfits=[Misfit(input="ids", kind="words", count=30, example="a good film")],
)  # fmt: skip
BASE64 = facts(dtype="string", takes_images=True, writings=[Writing(name="base64", share=1.0, content="png")])
RAW_TRIALS, UNMOVED, REVIVED = trials(), trials(changed=0.01), trials(refused=20)

PIXELS = comparison(
    place((120.0, 50.0), (0.45, 0.2), 1.0, 0.98, (1.0, 0.01)), Fit(preparation=_BY_255, of="requests", apart=0.05)
)
RAW = comparison(
    place((400.0, 100.0), (0.0, 1.0), 1.0, 1.0, (0.0, 0.0)), Fit(preparation=_OWN, of="requests", apart=0.12)
)
SIMILAR = comparison(place((0.6, 1.2), (0.0, 1.0), 0.3, 0.02, (0.0, 0.0)))
WHOLE = comparison(
    place((4.0, 2.0), (5.0, 2.0), 0.4, 0.0, (1.0, 1.0)), Fit(preparation=_TRUNCATED, of="reference", apart=0.1)
)
TWICE = comparison(
    place((0.45, 0.2), (120.0, 50.0), 1.0, 0.0, (0.0, 1.0)),
    Fit(preparation=_BY_255, of="reference", apart=0.05, undone=_TIMES_255),
)
TWICE_BY_GRAPH = comparison(
    place((0.0, 1.0), (400.0, 20.0), 1.0, 1.0, (0.0, 0.0)),
    Fit(preparation=_OWN, of="reference", apart=0.0, undone=_UNDONE),
    reference="graph",
)
CAST = comparison(
    place((0.0, 0.7), (0.0, 1.0), 0.4, 0.0, (1.0, 0.0)), Fit(preparation=_TRUNCATED, of="reference", apart=0.06)
)


def tokens(unknown: float, after: float, trained: float | None, known_by: str = "table") -> VocabularyProbe:
    """Of input ``x``: the unknown tokens as sent, once split, and in training."""
    split = Preparation(name="split", kinds=["split"])
    return VocabularyProbe(
        signature="serving_default",
        inputs=[
            TokenFacts(
                input="x", dtype="string", shape=[-1], known_by=known_by, name="vocab.txt", entries=100, tokens=200,
                unknown=unknown, trained_unknown=trained, treatments=[Treatment(preparation=split, unknown=after)],
                examples=["a good film"], known_examples=["good"], trained_length=12,
            )
        ],
    )  # fmt: skip


UNSPLIT = tokens(1.0, 0.03, 0.02)
KNOWN = tokens(0.05, 0.05, 0.04)
OTHER_WORDS = tokens(0.95, 0.94, 0.03)


def _with(probe: VocabularyProbe, **changed: object) -> VocabularyProbe:
    mine = probe.inputs[0]
    return probe.model_copy(update={"inputs": [mine.model_copy(update=changed)]})


_DECODED = Preparation(name="decoded from hex", kinds=["decode"], decode="hex")
HEX = facts(dtype="string", writings=[Writing(name="hex", share=1.0, content="text")])
KNOWN_ONCE_DECODED = _with(
    OTHER_WORDS, trained_unknown=None, treatments=[Treatment(preparation=_DECODED, unknown=0.02)]
)
UNKNOWN_EVEN_DECODED = _with(OTHER_WORDS, treatments=[Treatment(preparation=_DECODED, unknown=0.9)])
OWN_CODES = _with(OTHER_WORDS, unknown=1.0, trained_unknown=None, repeated=0.95)
NEW_PRODUCTS = _with(OTHER_WORDS, unknown=1.0, trained_unknown=None, repeated=0.05)
SHIFTED = _with(KNOWN, dtype="int32", known_by="embedding", shift=Shift(by=-2, apart=0.6, apart_moved=0.08))
PIECES = _with(
    UNSPLIT,
    unknown=0.6,
    treatments=[Treatment(preparation=Preparation(name="word pieces", kinds=["word_pieces"]), unknown=0.0)],
)
STRANGE_IN_TRAINING = tokens(0.9, 0.9, 0.88)
BEYOND = tokens(0.9, 0.9, 0.0, "embedding")


def _pools(requests: bool, training: bool) -> VariationTrace:
    return VariationTrace(pools=[_pool("training", training), _pool("requests", requests)])


def _pool(name: str, alive: bool) -> PoolTrace:
    made: list[TensorFacts] = [
        tensor("x", "Placeholder"),
        tensor("first_words", "StridedSlice", "x", alive=alive),
        tensor("y", "MatMul", "first_words", alive=alive),
    ]
    return PoolTrace(
        pool=name, rows=24, tensors=made, inputs={"x": "x:0"}, outputs={"y": "y:0"}, answers={"y": made[-1]}
    )


CUT = _pools(requests=False, training=True)
ALIVE_REQUESTS = _pools(requests=True, training=True)
CUT_EVERYWHERE = _pools(requests=False, training=False)


def _arriving(kind: Kind, what: str) -> EndpointReplay:
    best = Explanation(kind=kind, what=f"tokens arrives {what}", input="tokens", share=1.0, telling=38)
    return EndpointReplay(source="requests", rows=40, wrong=38, distinct=20, tried=90, explanations=[best])


SHOUTED = _arriving("untokenised", "in upper case")
OFFSET = _arriving("vocabulary", "with +1 on each id")


def _masked(alive: bool) -> PoolTrace:
    """A pool of ids and a mask, which is zero unless ``alive``."""
    made: list[TensorFacts] = [
        tensor("ids", "Placeholder"),
        tensor("mask", "Placeholder", alive=alive, magnitude=float(alive)),
        tensor("y", "Mul", "ids", "mask", alive=alive),
    ]
    inputs = {"ids": "ids:0", "mask": "mask:0"}
    return PoolTrace(
        pool="training" if alive else "requests", rows=24, tensors=made, inputs=inputs, outputs={"y": "y:0"},
        answers={"y": made[-1]},
    )  # fmt: skip


MASKED = VariationTrace(pools=[_masked(True), _masked(False)])
