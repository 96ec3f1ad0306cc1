"""The keys that the graph's parser looks for, and those of the requests' tf.Examples: has one got another name?"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import numpy as np

from unstuck.core.tracing import TracedNode
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.feature_map import ExampleKeys, Renamed
from unstuck.doctor.experiments.example_features import packing, unpacked
from unstuck.doctor.experiments.explaining import Matcher, Run
from unstuck.doctor.experiments.running import ModelRunner, stack
from unstuck.doctor.experiments.transformations import Arrays
from unstuck.doctor.lab import Lab, Row, spread
from unstuck.errors import UnstuckError

ROWS = 40
MISTYPED = 0.9  # of two names' letters are the same
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
MOST = 16  # keys


def run(lab: Lab) -> ExampleKeys:
    """Raises NotRun where there is no model, or what it takes are no tf.Examples of one form."""
    source, known = _rows(lab)
    rows = spread(known, ROWS)
    batch = stack(rows) if len(lab.signature.inputs) == 1 else {}
    features = unpacked(batch) if batch else None
    if not features:
        raise NotRun(f"the {source} are no tf.Examples, or not of one form")
    (alias,) = batch
    read = list(dict.fromkeys(_read(lab)))
    absent = [key for key in read if key not in features][:MOST]
    unread = [key for key in features if key not in read][:MOST]
    runner = packing(ModelRunner(lab.model, lab.signature), alias)
    renamed = list(_renamed(runner, features, absent, unread))
    return ExampleKeys(input=alias, source=source, rows=len(rows), absent=absent, unread=unread, renamed=renamed)


def _rows(lab: Lab) -> tuple[str, list[Row]]:
    """What is sent, or else what is known to be answered."""
    try:
        return "requests", lab.request_rows
    except NotRun:
        return "golden", lab.golden_rows


def _read(lab: Lab) -> Iterator[str]:
    """The keys of every parser in the graph."""
    try:
        traced, signature = lab.traced(), lab.signature.name
        for node in traced.graph(signature).nodes:
            for tensor in _keys_of(node):
                keys = np.asarray(traced.fetch(signature, {}, [tensor])[0])
                yield from (key.decode() for key in keys.ravel().tolist() if isinstance(key, bytes))
    except (UnstuckError, ValueError, TypeError) as error:
        raise NotRun(f"the parser in the graph cannot be read: {error}") from None


def _keys_of(node: TracedNode) -> Sequence[str]:
    """The tensors that hold a parser's keys: sparse, dense and ragged ones, or one tensor a key."""
    if node.op == "ParseExampleV2":
        return node.inputs[2:5]
    if node.op == "ParseExample":
        # Of s sparse and d dense keys, 2 + s + 2 d inputs and 3 s + d outputs.
        keys = (2 * len(node.inputs) - 4 + len(node.tensors)) // 5 if node.tensors else 0
        dense = len(node.inputs) - 2 - keys
        return node.inputs[2 : 2 + keys] if dense >= 0 else ()
    return ()


def _are_one(one: str, other: str) -> bool:
    """Whether two names may be of one thing: the words of one are among the other's, or a letter is mistyped."""
    first, second = _words(one), _words(other)
    return first <= second or second <= first or SequenceMatcher(None, one, other).ratio() >= MISTYPED


def _words(name: str) -> set[str]:
    return {word.lower().removesuffix("s") for word in _WORD.findall(name)}


def _renamed(run: Run, features: Arrays, absent: Sequence[str], unread: Sequence[str]) -> Iterator[Renamed]:
    """Keys that are sent by a name like one that is looked for, and how far the answers move once it is put right."""
    answers = run(features) if absent and unread else None
    if not answers:
        return
    for wanted in absent:
        sent = next((name for name in unread if _are_one(name, wanted)), None)
        if sent is None:
            continue
        put_right = run({wanted if name == sent else name: values for name, values in features.items()})
        if put_right:
            yield Renamed(wanted=wanted, sent=sent, moves=Matcher(answers, put_right).gap(put_right))
