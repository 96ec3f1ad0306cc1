"""How many of the requests' tokens does the model know, as they are and once prepared?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unstuck.core.signatures import TensorSpec
from unstuck.core.tracing import TableContents, Traceable, TracedGraph, TracedNode
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.preparation import Kind, Preparation
from unstuck.doctor.evidence.vocabulary import Shift, TokenFacts, Treatment, VocabularyProbe
from unstuck.doctor.experiments.cleaning import cleanings
from unstuck.doctor.experiments.preparing import DECODE, SPLITS, prepared
from unstuck.doctor.experiments.reference import known_rows_or_none, row_shape, sent_rows, values_of
from unstuck.doctor.experiments.segmenting import are_unspaced
from unstuck.doctor.experiments.shifting import shift_of
from unstuck.doctor.experiments.splitting import split_rows, words_of
from unstuck.doctor.experiments.writings import writings_of
from unstuck.doctor.lab import Lab, Row, spread
from unstuck.errors import UnstuckError

ROWS = 96
WORTH_TREATING = 0.2
MARKED = 0.1  # of a vocabulary's tokens that are marked as parts of words
CLOSED = 0.8  # of one half of training's tokens that the other half has too: they are of a vocabulary
LOOKUPS = frozenset({"LookupTableFindV2", "LookupTableFind"})
GATHERS = frozenset({"GatherV2", "Gather", "ResourceGather"})
_ID_OPS = frozenset({
    "Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "SelectV2", "Select", "AddV2", "Less", "StridedSlice",
    "Slice", "StopGradient", "EnsureShape", "Pad", "PadV2", "ConcatV2", "Transpose", "Minimum", "Maximum",
    "ClipByValue",
})  # fmt: skip
_STEPS: tuple[tuple[Kind, ...], ...] = (
    ("strip",), ("lowercase",), ("uppercase",), ("remove_punctuation",), ("lowercase", "remove_punctuation"),
    ("split",), ("lowercase", "split"), ("remove_punctuation", "split"), ("lowercase", "remove_punctuation", "split"),
    ("trim_punctuation",), ("lowercase", "trim_punctuation"), ("lowercase", "trim_punctuation", "split"),
    ("punctuation_to_blanks",), ("lowercase", "punctuation_to_blanks"),
    ("punctuation_to_blanks", "split"), ("lowercase", "punctuation_to_blanks", "split"),
)  # fmt: skip
_ONCE_CLEANED: tuple[tuple[Kind, ...], ...] = (
    (), ("lowercase",), ("uppercase",), ("lowercase", "remove_punctuation"), ("split",), ("lowercase", "split"),
    ("lowercase", "remove_punctuation", "split"),
)  # fmt: skip
_IN_PIECES: tuple[tuple[Kind, ...], ...] = (
    ("word_pieces",), ("lowercase", "word_pieces"), ("lowercase", "trim_punctuation", "word_pieces"),
)  # fmt: skip
_IN_LETTERS: tuple[tuple[Kind, ...], ...] = (("characters",), ("lowercase", "characters"))
_IN_WORDS: tuple[tuple[Kind, ...], ...] = (
    ("segment",), ("punctuation_to_blanks", "segment"), ("segment", "split"),
    ("punctuation_to_blanks", "segment", "split"),
)  # fmt: skip
_DECODED: tuple[tuple[Kind, ...], ...] = (
    ("decode",), ("decode", "lowercase", "remove_punctuation"), ("decode", "split"),
    ("decode", "lowercase", "remove_punctuation", "split"),
)  # fmt: skip


def run(lab: Lab) -> VocabularyProbe:
    """Raises NotRun where there are no requests, or no input reaches a vocabulary."""
    if lab.question.pipeline_file is not None:
        raise NotRun("a pipeline prepares the requests")
    if lab.signature.takes_examples:
        raise NotRun("the signature takes serialised tf.Examples, whose tokens are not read")
    sent = spread(sent_rows(lab), ROWS)
    known = known_rows_or_none(lab)
    trained = _tokens_alone(*known) if known else list[Row]()
    tables = _tables(lab)
    found: list[TokenFacts] = []
    for spec in lab.signature.inputs.values():
        vocabulary = _vocabulary(lab, spec, trained, tables)
        if vocabulary is not None:
            found.append(_facts(spec, vocabulary, sent, trained))
    if not found:
        raise NotRun("no input is looked up in a table or an embedding, or shares its tokens with training data")
    return VocabularyProbe(signature=lab.signature.name, inputs=found)


def _tokens_alone(source: str, rows: Sequence[Row]) -> Sequence[Row]:
    """``rows``; of a profile the texts alone: it knows the range of ids, and not which of them there are."""
    if source != "profile":
        return rows
    return [{alias: value for alias, value in row.items() if value.dtype == object} for row in rows]


@dataclass
class _Vocabulary:
    """What says which tokens are known, and how to see the tokens of a row."""

    known_by: str
    name: str
    keys: frozenset[Any]
    bound: int = 0  # of ids
    traced: Traceable | None = None
    signature: str = ""
    tensor: str = ""
    of_words: bool = False
    shares: float | None = field(default=None)  # by training: how much its halves share

    def tokens(self, row: Row, alias: str) -> list[Any]:
        """What is looked up for ``row``, empty texts left out."""
        if self.traced is not None and self.tensor:
            try:
                values = np.asarray(self.traced.fetch(self.signature, row, [self.tensor])[0])
            except UnstuckError:
                return []
        else:
            values = np.asarray(row[alias])
        if self.of_words:
            return words_of(values)
        return [_plain(each) for each in values.ravel().tolist() if each not in (b"", "")]

    def knows(self, token: Any) -> bool:
        return 0 <= token < self.bound if self.bound else token in self.keys

    @property
    def entries(self) -> int:
        return self.bound or len(self.keys)


def _plain(token: Any) -> Any:
    return int(token) if isinstance(token, float) and token.is_integer() else token


def _tables(lab: Lab) -> dict[str, TableContents]:
    """The model's tables by name, read once: each reading adds to its graph, and makes the next run slow."""
    try:
        return {each.table.name: each for each in lab.traced().tables()}
    except (NotRun, UnstuckError):
        return {}


def _vocabulary(
    lab: Lab, spec: TensorSpec, trained: Sequence[Row], tables: Mapping[str, TableContents]
) -> _Vocabulary | None:
    if lab.question.model is not None:
        try:
            traced = lab.traced()
            graph = traced.graph(lab.signature.name)
        except (NotRun, UnstuckError):
            return _of_training(spec, trained)
        return _of_table(lab, traced, graph, spec, tables) or _of_embedding(lab, traced, graph, spec)
    return _of_training(spec, trained)


def _of_table(
    lab: Lab, traced: Traceable, graph: TracedGraph, spec: TensorSpec, tables: Mapping[str, TableContents]
) -> _Vocabulary | None:
    """The first table that the input is looked up in."""
    reached = _reached(graph, spec.alias)
    for node in graph.nodes:
        if node.op not in LOOKUPS or node.inside or _node(node.inputs[1]) not in reached:
            continue
        table = tables.get(_behind(graph, node.inputs[0]))
        if table is not None and table.keys:
            name = table.table.source or table.table.name
            signature = lab.signature.name
            return _Vocabulary(
                "table", name, frozenset(table.keys), traced=traced, signature=signature, tensor=node.inputs[1]
            )
    return None


def _of_embedding(lab: Lab, traced: Traceable, graph: TracedGraph, spec: TensorSpec) -> _Vocabulary | None:
    """The embedding whose rows the input's numbers are."""
    if spec.dtype.is_string:
        return None
    reached = _reached(graph, spec.alias, _ID_OPS)
    for node in graph.nodes:
        if node.op in GATHERS and not node.inside and _node(node.inputs[1]) in reached:
            name = _weight(graph, node.inputs[0])
            table = traced.weights(lab.signature.name).get(name) if name else None
            if table is not None and table.ndim == 2:
                return _Vocabulary("embedding", name, frozenset(), bound=int(table.shape[0]))
    return None


def _of_training(spec: TensorSpec, trained: Sequence[Row]) -> _Vocabulary | None:
    """Training's own tokens, where its halves share theirs: words of free text, else whole values."""
    values = values_of(trained, spec.alias)
    if len(values) < 20 or values[0].dtype.kind not in "Oiu":
        return None
    for of_words in (False, True) if spec.dtype.is_string else (False,):
        candidate = _Vocabulary("training", "", frozenset(), of_words=of_words)
        halves = [
            [token for value in values[at::2] for token in candidate.tokens({spec.alias: value}, spec.alias)]
            for at in (0, 1)
        ]
        first = frozenset(halves[0])
        if not halves[1] or not first:
            continue
        shared = sum(token in first for token in halves[1]) / len(halves[1])
        if shared >= CLOSED and len(first) > 1:
            candidate.keys, candidate.shares = first | frozenset(halves[1]), shared
            return candidate
    return None


def _facts(spec: TensorSpec, vocabulary: _Vocabulary, sent: Sequence[Row], trained: Sequence[Row]) -> TokenFacts:
    alias = spec.alias
    tokens = [vocabulary.tokens(row, alias) for row in sent]
    flat = [token for row in tokens for token in row]
    unknown = _unknown(vocabulary, flat)
    strangers = [token for token in flat if not vocabulary.knows(token)]
    known_tokens = [vocabulary.tokens(row, alias) for row in spread(trained, ROWS) if alias in row]
    trained_unknown = _unknown(vocabulary, [each for row in known_tokens for each in row]) if known_tokens else None
    if vocabulary.shares is not None:
        trained_unknown = 1 - vocabulary.shares
    treatments: list[Treatment] = []
    if spec.dtype.is_string and unknown >= WORTH_TREATING:
        treatments = sorted(_treated(spec, vocabulary, sent, tokens), key=lambda each: each.unknown)
    widest = max((len(row) for row in known_tokens), default=0)
    longest = widest or max((len(words_of(np.asarray(row[alias]))) for row in sent if spec.dtype.is_string), default=0)
    return TokenFacts(
        input=alias,
        dtype=spec.dtype.name,
        shape=row_shape(spec),
        known_by=vocabulary.known_by,
        name=vocabulary.name,
        entries=vocabulary.entries,
        tokens=len(flat),
        unknown=unknown,
        repeated=1 - len(set(strangers)) / max(1, len(strangers)),
        trained_unknown=trained_unknown,
        unseen=_unseen(spec, vocabulary, flat, trained),
        shift=_shift(spec, flat, trained),
        treatments=treatments,
        examples=_some([token for token in dict.fromkeys(flat) if not vocabulary.knows(token)]),
        known_examples=_some(sorted(vocabulary.keys, key=str)) if vocabulary.keys else [f"0 to {vocabulary.bound - 1}"],
        trained_length=longest,
    )


def _unknown(vocabulary: _Vocabulary, tokens: Sequence[Any]) -> float:
    return sum(not vocabulary.knows(token) for token in tokens) / max(1, len(tokens))


def _unseen(spec: TensorSpec, vocabulary: _Vocabulary, sent: Sequence[Any], trained: Sequence[Row]) -> float | None:
    """The share of the requests' ids that training never had, 0 left out, where its halves share theirs."""
    if vocabulary.known_by == "training":
        return _unknown(vocabulary, sent)
    own = _of_training(spec, trained) if vocabulary.known_by == "embedding" else None
    ids = [token for token in sent if token != 0]
    return None if own is None or not ids else _unknown(own, ids)


def _shift(spec: TensorSpec, sent: Sequence[Any], trained: Sequence[Row]) -> Shift | None:
    known = [] if spec.dtype.is_string else [each for value in values_of(trained, spec.alias) for each in value.ravel()]
    found = shift_of([int(each) for each in sent], [int(each) for each in known]) if known else None
    return Shift(by=found[0], apart=found[1], apart_moved=found[2]) if found else None


def _treated(
    spec: TensorSpec, vocabulary: _Vocabulary, sent: Sequence[Row], tokens: Sequence[Sequence[Any]]
) -> Iterator[Treatment]:
    """Each preparation with the share of tokens that are unknown after it."""
    rank = len(spec.shape) if spec.shape is not None else 1
    graph_splits = rank == 1 and any(len(row) > 1 for row in tokens) and vocabulary.traced is not None
    for preparation in _preparations(spec, vocabulary, sent):
        is_split = not SPLITS.isdisjoint(preparation.kinds)
        if is_split and (graph_splits or vocabulary.of_words):
            continue
        try:
            rows = [
                each
                for row in sent
                for each in (
                    split_rows(spec, row, preparation, vocabulary.keys)
                    if is_split
                    else [{**row, spec.alias: prepared(preparation, np.asarray(row[spec.alias]), vocabulary.keys)}]
                )
            ]
        except ValueError:  # a text cannot be decoded
            continue
        found = [token for row in rows for token in vocabulary.tokens(row, spec.alias)]
        if found:
            yield Treatment(preparation=preparation, unknown=_unknown(vocabulary, found))


def _preparations(spec: TensorSpec, vocabulary: _Vocabulary, sent: Sequence[Row]) -> Iterator[Preparation]:
    """Those that the vocabulary, and the way the texts are written, make plausible."""
    keys = [key for key in vocabulary.keys if isinstance(key, bytes) and key]
    pieces = sum(key.startswith((b"##", "\u2581".encode())) for key in keys) >= MARKED * len(keys)
    letters = sum(len(key.decode(errors="replace")) == 1 for key in keys) >= CLOSED * len(keys)
    for kinds in (*_STEPS, *(_IN_PIECES if pieces else ()), *(_IN_LETTERS if letters else ())):
        yield Preparation(name=", ".join(kinds).replace("_", " "), kinds=list(kinds))
    texts = [
        text for value in values_of(sent, spec.alias) for text in value.ravel().tolist() if isinstance(text, bytes)
    ]
    for kinds in _IN_WORDS if are_unspaced(texts) else ():
        name = ", ".join(kinds).replace("_", " ").replace("segment", "cut into words")
        yield Preparation(name=name, kinds=list(kinds))
    for clean in cleanings(texts):
        for kinds in _ONCE_CLEANED:
            yield Preparation(name=", ".join((*clean, *kinds)).replace("_", " "), kinds=[*clean, *kinds])
    for writing in writings_of(texts, None):
        if writing.name in DECODE and writing.share >= CLOSED:
            for kinds in _DECODED:
                name = ", ".join((f"decoded from {writing.name}", *kinds[1:])).replace("_", " ")
                yield Preparation(name=name, kinds=list(kinds), decode=writing.name)


def _some(tokens: Sequence[Any]) -> list[str]:
    shown = [token.decode(errors="replace") if isinstance(token, bytes) else str(token) for token in tokens[:6]]
    return [text[:60] for text in shown]


def _reached(graph: TracedGraph, alias: str, ops: frozenset[str] | None = None) -> set[str]:
    """The nodes that the input's values come to, through ``ops`` alone where they are given."""
    found = {_node(graph.inputs[alias])} if alias in graph.inputs else set[str]()
    for node in graph.nodes:
        if (ops is None or node.op in ops) and any(_node(each) in found for each in node.inputs):
            found.add(node.name)
    return found


def _behind(graph: TracedGraph, tensor: str) -> str:
    """The name of the node that a handle comes from."""
    by_name: Mapping[str, TracedNode] = graph.by_name
    name = _node(tensor)
    while name in by_name and by_name[name].op == "Identity" and by_name[name].inputs:
        name = _node(by_name[name].inputs[0])
    return name


def _weight(graph: TracedGraph, tensor: str) -> str:
    """The weight that a tensor is read from; empty where it is none."""
    name = _node(tensor)
    for _ in range(8):
        node = graph.by_name.get(name)
        if node is None or node.weight or not node.inputs or node.op not in ("Identity", "Cast", "ReadVariableOp"):
            return node.weight if node else ""
        name = _node(node.inputs[0])
    return ""


def _node(tensor: str) -> str:
    return tensor.split(":", maxsplit=1)[0]
