"""The words of a text as Keras's TextVectorization finds them, without TensorFlow."""

import string

_PUNCTUATION = string.punctuation.encode()


def words(text: bytes) -> list[bytes]:
    """What the steps lowercase (``ascii_only``), remove_punctuation and split make of ``text``."""
    return text.lower().translate(None, _PUNCTUATION).split()
