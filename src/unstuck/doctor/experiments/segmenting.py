"""Finds the words of texts that are written without blanks between them, as Chinese, Japanese or Thai is."""

import re
from collections.abc import Iterator, Sequence, Set

LONGEST = 16  # letters of a word
# Thai, Lao, Tibetan, Burmese, Khmer, kana, and Chinese characters
_LETTERS = (
    "\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_LETTERS}]+")


def are_unspaced(texts: Sequence[bytes]) -> bool:
    """Whether most of ``texts`` hold words of such a script, two letters at least."""
    found = sum(any(len(run) > 1 for run in _RUN.findall(text.decode(errors="replace"))) for text in texts)
    return 2 * found > len(texts)


def segmented(text: bytes, vocabulary: Set[bytes]) -> bytes:
    """``text`` with blanks between the words of ``vocabulary``, always the longest that comes next.

    Letters that begin none of its words stand alone; text of other scripts stays as it is.
    """
    done = _RUN.sub(lambda run: f" {' '.join(_words(run[0], vocabulary))} ", text.decode(errors="replace"))
    return " ".join(done.split()).encode()


def _words(run: str, vocabulary: Set[bytes]) -> Iterator[str]:
    at = 0
    while at < len(run):
        ends = range(min(len(run), at + LONGEST), at, -1)
        end = next((end for end in ends if run[at:end].encode() in vocabulary), at + 1)
        yield run[at:end]
        at = end
