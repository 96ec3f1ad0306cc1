"""A lookup table is empty, or its file is missing: every key maps to the default.

What it finds
    A table that the signature looks words or ids up in, and that holds nothing after loading; a vocabulary file that
    the model names and that is not there, or is empty, so that it cannot be loaded; or one in whose place there is a
    pointer (Git LFS, git-annex, DVC), an error page or a placeholder: its lines are no tokens.

Why it happens
    The assets were not copied with the model, or as pointers (git lfs pull was left out), or a download answered with
    an error that was kept as the file; the table was never initialised in the export, or the vocabulary was
    written empty.

How it decides
    The tables' sizes are read after loading; the files they name are looked for in ``assets``, and their beginnings
    read.

How to fix it
    Copy the whole version folder, ``assets`` included; export again after the layer has adapted (``adapt``,
    ``set_vocabulary``) or with the table's initialiser in the graph.

When it is wrong
    A mutable table that is meant to be filled while serving is empty at first; it is reported where it is read.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, Outcome, RuledOut, check
from unstuck.doctor.evidence.model_graph import ModelGraph, TableFacts

FIX = (
    "Copy the whole version folder, its assets included; or export again once the vocabulary is set "
    "(layer.adapt(...) or layer.set_vocabulary(...)), so that the table is filled when the model is loaded."
)


@check(
    explains=(
        "preprocessing/missing-tokenization",
        "preprocessing/wrong-vocabulary",
        "resources/not-serving",
        "model/collapsed",
        "model/degenerate-weights",
        "model/dead-activation",
        "model/saturated-activation",
    )
)
def uninitialized_table(graph: ModelGraph) -> Iterator[Outcome]:
    empty = [table for table in graph.tables if table.reached and table.entries == 0]
    if graph.load_error and graph.missing_files:
        yield Fault(
            why=f"The model cannot be loaded: its vocabulary {', '.join(graph.missing_files)} is missing or empty.",
            evidence={"files": graph.missing_files, "error": graph.load_error},
            fix=FIX,
            confidence=0.98,
            location=Location(node=graph.missing_files[0]),
        )
    for table in empty:
        source = f", which should come from {table.source}" if table.source else ""
        yield Fault(
            why=f"Table {table.name!r} has no entries{source}: every key maps to its default.",
            evidence={"entries": 0, "source": table.source, "missing_files": graph.missing_files},
            fix=FIX,
            confidence=0.95,
            location=Location(node=table.name, layer=table.layer or None),
        )
    read = {table.source for table in graph.tables if table.reached}
    stand_ins = {file: what for file, what in graph.stand_ins.items() if graph.load_error or file in read}
    for file, what in stand_ins.items():
        yield _stand_in(file, what, graph)
    if not empty and not stand_ins and not (graph.load_error and graph.missing_files):
        sizes = {table.name: table.entries for table in graph.tables}
        yield RuledOut("Every table that the signature reads has entries." if sizes else "It reads no table.", sizes)


def _stand_in(file: str, what: str, graph: ModelGraph) -> Fault:
    table = next((each for each in graph.tables if each.source == file and each.reached), None)
    return Fault(
        why=f"The vocabulary {file} is {what}, and no list of tokens: what is looked up in it is unknown.",
        evidence={"file": file, "is": what, "entries": table.entries if table else None, "error": graph.load_error},
        fix=f"Put the real {file} into the version folder's assets (git lfs pull, git annex get, dvc pull, or download "
        "it again and look at the answer's status), before the model is copied or built into an image.",
        confidence=0.97,
        location=Location(node=table.name if table else file, layer=(table.layer or None) if table else None),
    )


_FULL = TableFacts(name="words", entries=100, source="vocab.txt")

CASES = (
    Case("an empty table", (ModelGraph(signature="s", tables=[_FULL.model_copy(update={"entries": 0})]),), "fault"),
    Case(
        "a pointer in the vocabulary's place",
        (ModelGraph(signature="s", tables=[_FULL], stand_ins={"vocab.txt": "a Git LFS pointer"}),),
        "fault",
    ),
    Case("a full one", (ModelGraph(signature="s", tables=[_FULL]),), "ruled-out"),
    Case(
        "an empty one that nothing reads",
        (ModelGraph(signature="s", tables=[_FULL.model_copy(update={"entries": 0, "reached": False})]),),
        "ruled-out",
    ),
)
