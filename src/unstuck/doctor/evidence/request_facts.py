"""What clients send, looked at by itself: how many requests, how much they differ, how they are written."""

from unstuck.doctor.evidence.base import Evidence


class Writing(Evidence):
    """A way in which an input's texts are written.

    Attributes:
        name: ``base64``, ``hex``, ``escaped`` (letters written out, as in source code), ``html``, ``url``, ``json``,
            ``mojibake``, ``utf-16``, ``bytes-repr``, ``damaged``, ``swapped-16`` (the bytes of numbers of 16 bits,
            turned; also 32, 64) or the kind of a file (``png``).
        share: of the requests' values.
        trained_share: of the reference's values; None where there is none.
        content: what is in it once undone: the kind of a file, ``text``, ``numbers`` or empty.
    """

    name: str
    share: float
    trained_share: float | None = None
    content: str = ""


class InputFacts(Evidence):
    """One input over all requests.

    Attributes:
        input, dtype, shape: as the signature says, the batch left out.
        sent_shape: the shape that all values have; None where they differ.
        rows: how many values it got.
        distinct: how many different ones, as the model gets them.
        is_used: whether an output depends on it; True where nobody knows.
        zeros: share of elements that are zero or empty.
        trained_zeros: the same of the reference; None where there is none.
        example: the most frequent value, cut.
        writings: of texts.
        takes_images: it is text that the graph decodes as an image file.
    """

    input: str
    dtype: str
    shape: list[int]
    sent_shape: list[int] | None = None
    rows: int
    distinct: int
    is_used: bool = True
    zeros: float = 0.0
    trained_zeros: float | None = None
    example: str = ""
    writings: list[Writing] = []
    takes_images: bool = False


class Misfit(Evidence):
    """Requests that do not fit the signature.

    Attributes:
        input: the one that does not fit; empty where that is not known.
        kind: what was sent instead of numbers: ``words``, ``number as text``, ``base64``, or ``other``.
        count: how many requests.
        message: why the first was refused.
        example: the value, cut.
    """

    input: str
    kind: str
    count: int
    message: str = ""
    example: str = ""


class RequestFacts(Evidence):
    """All requests to the signature in question.

    Attributes:
        signature: its name.
        requests: how many.
        rows: how many rows they hold.
        distinct: how many different rows, in the inputs that the model uses.
        distinct_bodies: how many different bodies.
        refused: how many do not fit the signature.
        misfits: how.
    """

    signature: str = ""
    requests: int
    rows: int
    distinct: int
    distinct_bodies: int
    refused: int = 0
    inputs: list[InputFacts] = []
    misfits: list[Misfit] = []
