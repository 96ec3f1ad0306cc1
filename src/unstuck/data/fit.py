"""Learns a pipeline and a training profile from raw training data, and writes them beside the model."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unstuck.core.signatures import Signature
from unstuck.data.columns import Column, DataFile, Progress
from unstuck.data.matching import FitError, Made
from unstuck.data.profiling import NumberStatistics, TextStatistics, TokensOf, statistics_of
from unstuck.data.reading import ROWS
from unstuck.data.yaml_text import PipelineText
from unstuck.errors import SetupError
from unstuck.pipeline import PLACE, PROFILE
from unstuck.pipeline.checks import check
from unstuck.pipeline.document import read_pipeline
from unstuck.pipeline.profile import FeatureProfile, KnownTokens, TrainingProfile

Normalise = Literal["z_score", "min_max", "none"]

# As Keras's TextVectorization and StringLookup number them by default.
UNKNOWN = {"words": 1, "values": 0}
FIRST_ID = {"words": 2, "values": 1}
PADDING = 0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that a text column gave, most frequent first, and what share of all it covers."""

    file: str
    tokens: list[str]
    coverage: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learnt: the files by name, and what to tell the user."""

    files: Mapping[str, str]
    rows: int
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user says of training.

    Attributes:
        normalise: how numbers were normalised; None where nothing was said.
        text: whether text became ids as Keras does it by default.
        vocabulary_size: ids at most, those for padding and unknown text included, as Keras's ``max_tokens``.
        command: what the user ran, for the file's first line.
    """

    normalise: Normalise | None = None
    text: bool = False
    vocabulary_size: int | None = None
    command: str = "unstuck fit-pipeline"


def check_said(made: Sequence[Made], wanted: Wanted) -> None:
    """Raises FitError where the user has to say what training did."""
    for each in made:
        names = ", ".join(repr(column.name) for column in each.columns)
        if each.how == "numbers" and wanted.normalise is None:
            raise FitError(
                f"How did training normalise {names}, which input {each.spec.alias!r} ({each.spec}) is made of? "
                "The data do not say.",
                hint="Give --normalise=z_score, --normalise=min_max, or --normalise=none if the model does it itself.",
            )
        if each.how in UNKNOWN and not wanted.text:
            raise FitError(
                f"How did training make ids of {names}, for input {each.spec.alias!r} ({each.spec})? "
                "The data do not say.",
                hint="Give --text=keras if by TextVectorization or StringLookup with their defaults; "
                "else write the steps by hand: docs/pipeline.md.",
            )


def fit(data: DataFile, signature: Signature, made: Sequence[Made], wanted: Wanted, progress: Progress) -> Fitted:
    """Reads all rows once and returns the files: pipeline, profile and vocabularies.

    Raises:
        DataError: the data cannot be read.
        FitError: they do not say what is to be learnt.
    """
    tokens_of: dict[str, TokensOf] = {
        each.columns[0].name: each.how for each in made if each.how == "words" or each.how == "values"
    }
    statistics = {
        column.name: statistics_of(column, tokens_of.get(column.name)) for each in made for column in each.columns
    }
    rows = 0
    for batch in data.batches(ROWS, list(statistics), progress):
        rows += len(next(iter(batch.values())))
        for name, array in batch.items():
            statistics[name].add(array)
    dtypes = _raw_dtypes(made)
    vocabularies = _vocabularies(statistics, tokens_of, wanted.vocabulary_size)
    features = {
        name: _profile(each, dtypes[name], vocabularies.get(name), tokens_of.get(name))
        for name, each in statistics.items()
    }
    profile = TrainingProfile(schema=1, rows=rows, signature=signature.name, features=features)
    text = PipelineText(signature.name, profile, wanted.normalise or "none", wanted.command)
    for each in made:
        text.add(each, _token_steps(each, statistics, vocabularies))
    files = {vocabulary.file: "\n".join(vocabulary.tokens) + "\n" for vocabulary in vocabularies.values()}
    files |= {PROFILE.name: profile.to_json(), PLACE.name: text.written()}
    return Fitted(files, rows, _notes(data.columns, features, made))


def save(fitted: Fitted, folder: Path, signatures: Mapping[str, Signature], *, force: bool) -> None:
    """Writes the files into ``folder``: all, or where the pipeline does not fit ``signatures``, none.

    Raises:
        SetupError: a file is there already and ``force`` is not given, or cannot be written.
        PipelineError: the pipeline does not fit.
    """
    refuse_to_overwrite(folder, fitted.files, force=force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in fitted.files.items():
            _part(folder, name).write_text(content, encoding="utf-8", newline="\n")
        check(read_pipeline(_part(folder, PLACE.name)), signatures)
        for name in fitted.files:  # the pipeline last: a server that starts now finds it with all it names
            os.replace(_part(folder, name), folder / name)
    except OSError as error:
        raise SetupError(f"{folder} cannot be written: {error}.") from None
    finally:
        for name in fitted.files:
            _part(folder, name).unlink(missing_ok=True)


def refuse_to_overwrite(folder: Path, names: Sequence[str] | Mapping[str, str], *, force: bool) -> None:
    """Raises SetupError if one of the files is there already and ``force`` is not given."""
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise SetupError(
            f"{folder} has {', '.join(there)} already.", hint="Give --force to overwrite, or --out=FOLDER."
        )


def _part(folder: Path, name: str) -> Path:
    return folder / f".{name}.part"


def _raw_dtypes(made: Sequence[Made]) -> dict[str, str]:
    """By column, the dtype in which clients send it: the model's, where that has room for it."""
    dtypes: dict[str, str] = {}
    for each in made:
        dtype = each.spec.dtype.name
        if each.how == "numbers" and dtype not in ("float", "double"):
            dtype = "float"
        for column in each.columns:
            wanted = "string" if column.is_text else dtype
            if dtypes.setdefault(column.name, wanted) != wanted:
                raise FitError(
                    f"The column {column.name!r} makes inputs of {dtypes[column.name]} and of {wanted}.",
                    hint="Declare it by hand, with cast: docs/pipeline.md.",
                )
    return dtypes


def _vocabularies(
    statistics: Mapping[str, NumberStatistics | TextStatistics], tokens_of: Mapping[str, TokensOf], size: int | None
) -> dict[str, Vocabulary]:
    found: dict[str, Vocabulary] = {}
    for name, of in tokens_of.items():
        column = statistics[name]
        assert isinstance(column, TextStatistics)
        ranked = column.tokens.ranked(None if size is None else max(0, size - FIRST_ID[of]))
        if not ranked:
            raise FitError(f"The column {name!r} has no {of} to make a vocabulary of.")
        file = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.vocabulary.txt"
        if any(each.file == file for each in found.values()):
            file = f"{len(found)}.{file}"
        covered = sum(count for _, count in ranked) / column.tokens.total
        found[name] = Vocabulary(file, [_line(name, token) for token, _ in ranked], covered)
    return found


def _line(column: str, token: bytes) -> str:
    try:
        text = token.decode()
    except UnicodeDecodeError:
        raise FitError(f"The column {column!r} has {token!r:.60}, which is not UTF-8 text.") from None
    if "\n" in text or "\r" in text:
        raise FitError(
            f"The column {column!r} has {text!r:.60}: a line break cannot be part of a vocabulary's entry.",
            hint="Declare it by hand, with tokens in the pipeline file: docs/pipeline.md.",
        )
    return text


def _profile(
    statistics: NumberStatistics | TextStatistics, dtype: str, vocabulary: Vocabulary | None, of: TokensOf | None
) -> FeatureProfile:
    if isinstance(statistics, NumberStatistics) or vocabulary is None or of is None:
        return statistics.profile(dtype)
    known = KnownTokens(file=vocabulary.file, of=of, size=len(vocabulary.tokens), coverage=vocabulary.coverage)
    return statistics.profile(dtype, known)


def _token_steps(
    made: Made, statistics: Mapping[str, NumberStatistics | TextStatistics], vocabularies: Mapping[str, Vocabulary]
) -> list[tuple[str, str]]:
    """The steps from text to ids, each with where it comes from; none for what is no text to be numbered."""
    if made.how not in ("words", "values"):
        return []
    name = made.columns[0].name
    vocabulary, column = vocabularies[name], statistics[name]
    assert isinstance(column, TextStatistics)
    exact = "" if column.tokens.is_exact else ", counted approximately"
    what = f"{len(vocabulary.tokens)} {made.how}, {vocabulary.coverage:.1%} of all in training{exact}"
    numbers = f"unknown: {UNKNOWN[made.how]}, first_id: {FIRST_ID[made.how]}"
    steps = [(f"vocabulary: {{file: {json.dumps(vocabulary.file)}, {numbers}}}", what)]
    if made.how == "words":
        before = [("lowercase: {ascii_only: true}", "--text=keras"), ("remove_punctuation", ""), ("split", "")]
        length = made.spec.shape[1] if made.spec.shape and len(made.spec.shape) == 2 else None
        source = "the input's length" if length else "95 % of training's texts have no more words"
        pad = (f"pad: {{length: {length or column.tokens_of_most()}, value: {PADDING}}}", source)
        steps = [*before, *steps, pad]
    if made.spec.dtype.name != "int64":
        steps.append((f"cast: {{dtype: {made.spec.dtype.name}}}", "the input's dtype"))
    return steps


def _notes(columns: Mapping[str, Column], features: Mapping[str, FeatureProfile], made: Sequence[Made]) -> list[str]:
    notes: list[str] = []
    for each in made:
        given = ", ".join(repr(column.name) for column in each.columns)
        notes.append(f"{each.spec.alias} ({each.spec}) is made of {given}")
        if each.in_file_order:
            names = ",".join(column.name for column in each.columns)
            notes[-1] += f", in the file's order; if training had another, name it: --map {each.spec.alias}={names}"
    unused = [repr(name) for name in columns if name not in features]
    if unused:
        notes.append(f"not used: {', '.join(unused)}")
    for name, feature in features.items():
        if feature.missing and feature.mean is not None:
            notes.append(
                f"{feature.missing:.2%} of {name!r} are missing, and stay NaN: if training filled them in, add "
                "fill_missing to its steps"
            )
    return notes
