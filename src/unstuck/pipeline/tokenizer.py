"""Hugging Face tokenizers, by the library ``tokenizers``, which is imported only where a pipeline names one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.errors import Code, EngineError
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.schema import Tokenizer

_PAD_TOKENS = ("[PAD]", "<pad>")  # what a tokenizer calls it that does not say which it is
_KEPT_PADDING = ("direction", "pad_type_id", "pad_token")


class LoadedTokenizer:
    """Texts to token ids and their masks. Thread-safe.

    Attributes:
        stateless: whether it draws no random numbers, as one with dropout does.
    """

    def __init__(self, where: str, step: Tokenizer, folder: Path, parts: Sequence[str]) -> None:
        """Loads the file that ``step`` names.

        Args:
            where: how messages call the step.
            step: as declared.
            folder: where its file is.
            parts: of ``ids``, ``attention_mask`` and ``type_ids``, those that are wanted.

        Raises:
            PipelineError: the file cannot be read, or the library is not installed.
        """
        self._where = where
        self._parts = parts
        self._length = step.length
        self._tokenizer = _loaded(where, step, folder)
        self.stateless = not getattr(self._tokenizer.model, "dropout", None)

    def __call__(self, arrays: Sequence[Tensor]) -> list[Tensor]:
        """Each wanted part, int64 [rows, length], of one array of texts [rows], or of pairs from two.

        Raises:
            EngineError: a text that is not UTF-8.
        """
        columns = [self._texts(array) for array in arrays]
        encoded = self._tokenizer.encode_batch_fast(columns[0] if len(columns) == 1 else [*zip(*columns, strict=True)])
        shape = len(columns[0]), self._length
        return [np.array([getattr(each, part) for each in encoded], np.int64).reshape(shape) for part in self._parts]

    def _texts(self, array: Tensor) -> list[str]:
        try:
            return [value.decode() for value in cast("list[bytes]", array.tolist())]
        except UnicodeDecodeError as error:
            raise EngineError(
                f"{self._where}: it takes UTF-8, got the bytes {error.object[:20]!r}.", code=Code.INVALID_ARGUMENT
            ) from None


def _loaded(where: str, step: Tokenizer, folder: Path) -> Any:
    """The tokenizer, set to give rows of one length."""
    try:
        import tokenizers
    except ModuleNotFoundError:
        raise PipelineError(
            f"{where}: the library tokenizers is not installed.", hint='Run: pip install "unstuck[tokenizers]"'
        ) from None
    path = folder / step.tokenizer
    try:
        tokenizer: Any = tokenizers.Tokenizer.from_str(path.read_bytes().decode())
    except Exception as error:  # the library raises Exception itself
        raise PipelineError(f"{where}: its file {path} cannot be read: {' '.join(str(error).split())}.") from error
    added = tokenizer.num_special_tokens_to_add(len(step.from_) == 2)
    if step.length <= added:
        raise PipelineError(
            f"{where}: a row of {step.length} has no room for text: the tokenizer adds {added} tokens of its own.",
            hint="Raise its length.",
        )
    own: dict[str, Any] = tokenizer.padding or {}
    tokenizer.enable_truncation(**{**(tokenizer.truncation or {}), "max_length": step.length})
    tokenizer.enable_padding(
        length=step.length,
        pad_id=_pad_id(where, step, tokenizer),
        **{key: own[key] for key in _KEPT_PADDING if key in own},
    )
    return tokenizer


def _pad_id(where: str, step: Tokenizer, tokenizer: Any) -> int:
    if step.pad_id is not None:
        return step.pad_id
    if tokenizer.padding:
        return tokenizer.padding["pad_id"]
    found = next((number for token in _PAD_TOKENS if (number := tokenizer.token_to_id(token)) is not None), None)
    if found is None:
        raise PipelineError(f"{where}: the tokenizer does not say what it pads with.", hint="Say it: pad_id: NUMBER.")
    return found
