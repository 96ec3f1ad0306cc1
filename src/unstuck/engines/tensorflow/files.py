"""The files that steps name, and what fills the tables of vocabularies."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unstuck.engines.tensorflow.runtime import tf
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.steps import FromFile

ASSETS = "assets"  # in a version's folder
_IS_LINE = re.compile(r"[^\r\n]+").fullmatch  # as TensorFlow reads lines: none empty, and every \r dropped


@dataclass(frozen=True)
class Files:
    """Where a pipeline's files are.

    Attributes:
        folder: of the pipeline file, beside which ``file`` is.
        assets: of the model, in which ``asset`` is.
    """

    folder: Path
    assets: Path

    def bytes_of(self, step: FromFile) -> bytes:
        """What is in the file, or the asset, that the step names.

        Raises:
            PipelineError: there is no such file, or it cannot be read.
        """
        if step.asset and not (self.assets / step.asset).is_file():
            known = sorted(path.name for path in self.assets.glob("*"))
            raise PipelineError(f"the model has no asset {step.asset!r}; its assets: {', '.join(known) or 'none'}")
        path = self.assets / step.asset if step.asset else self.folder / step.file
        try:
            return path.read_bytes()
        except OSError as error:
            raise PipelineError(f"its file {path} cannot be read: {error}") from None

    def entries(self, tokens: Sequence[str], first_id: int, name: str) -> Any:
        """What fills a table with the id of each token, which is one more than that of the token before it.

        Args:
            tokens: each once.
            first_id: the first token's.
            name: of a file that they may be written to.
        """
        del name
        ids = np.arange(first_id, first_id + len(tokens), dtype=np.int64)
        return tf.lookup.KeyValueTensorInitializer(tf.constant(tokens, tf.string), tf.constant(ids))


@dataclass(frozen=True)
class NewAssets(Files):
    """Makes each vocabulary an asset, unless an entry cannot be a line, for the model that is baked. Writes nothing.

    Attributes:
        contents: of the new assets, by name.
        names: of the new assets, by the tensor that a loader feeds their paths to.
    """

    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    names: dict[str, str] = field(default_factory=dict[str, str])

    def entries(self, tokens: Sequence[str], first_id: int, name: str) -> Any:
        if not all(map(_IS_LINE, tokens)):
            return super().entries(tokens, first_id, name)
        asset = self._add(name, "".join(f"{token}\n" for token in tokens).encode())
        path = tf.constant(asset, name="vocabulary")
        self.names[path.name] = asset
        return tf.lookup.TextFileInitializer(
            path,
            *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
            *(tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
            value_index_offset=first_id,
        )

    def _add(self, name: str, content: bytes) -> str:
        """The name of an asset with ``content``: ``name``, or with a number where another has that name already."""
        path = Path(name)
        numbered = (f"{path.stem}_{at}{path.suffix}" for at in itertools.count(1))
        return next(free for free in itertools.chain([name], numbered) if self._content(free, content) == content)

    def _content(self, name: str, new: bytes) -> bytes:
        """Of the asset ``name``; ``new``, if there was none."""
        old = self.assets / name
        return old.read_bytes() if old.exists() else self.contents.setdefault(name, new)
