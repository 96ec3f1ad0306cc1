"""Every decoder, given random bytes and damaged requests: it takes them, or refuses them with an error of ours.

The same decoders run under atheris for as long as one likes: ``./dev fuzz``.
"""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.decoders import DECODERS, take

MOST_TIMES = 64  # its own size, that a request may take of memory while it is read, and some for itself
SOME_BYTES = 1 << 20


@st.composite
def damaged(draw, seeds):
    """A right request with parts of it cut, doubled, swapped with another's, or overwritten."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        other = draw(st.sampled_from(seeds))
        at = draw(st.integers(0, len(other)))
        put = draw(
            st.sampled_from([b"", data[start:end] * 2, other[at : at + 40], b"\xff" * 9 + b"\x01"])
            | st.binary(max_size=12)
            | st.sampled_from([b"[" * 50, b"9" * 50, b'"\\ud800"', b"NaN", b"-", b"\0", b"\x80\x80\x80\x80\x08"])
        )
        data = data[:start] + put + data[end:]
    return data


@pytest.mark.parametrize("name", DECODERS)
def test_right_requests_are_taken(name):
    taken = [take(DECODERS[name], seed) for seed in DECODERS[name].seeds]
    assert sum(taken) >= len(taken) - 1, "1e400 is the only one that is not right"


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=30)
@given(data=st.data())
def test_random_bytes_are_taken_or_refused(name, data):
    take(DECODERS[name], data.draw(st.binary(max_size=300)))


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=60)
@given(data=st.data())
def test_damaged_requests_are_taken_or_refused(name, data):
    take(DECODERS[name], data.draw(damaged(DECODERS[name].seeds)))


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=10_000, deadline=None)
@given(data=st.data())
def test_many_damaged_requests_are_taken_or_refused(name, data):
    take(DECODERS[name], data.draw(damaged(DECODERS[name].seeds)))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        pytest.param("json_document", b"[" * 2_000_000, marks=pytest.mark.slow),
        pytest.param("json_document", b'{"a":' * 400_000, marks=pytest.mark.slow),
        ("json_document", b"[" + b"[]," * 100_000 + b"[]]"),
        ("json_predict", b'{"instances": [' + b"{}," * 100_000 + b"{}]}"),
        ("json_predict", b'{"inputs": {"x": [' + b'"a",' * 100_000 + b'"a"]}}'),
        ("json_examples", b'{"examples": [' + b'{"a":1},' * 20_000 + b"{}]}"),
        ("json_together", b"\n".join([b'{"instances":[[1]]}'] * 10_000)),
        ("tensor", b"\x08\x01\x12\x08\x12\x02\x08\x40\x12\x02\x08\x40" + b"\x2a\x04\0\0\x80\x3f"),
        ("tensor", b"\x08\x01\x12" + b"\x80\x80\x40" + b"\x12\x00" * 524_288),
        ("proto_predict", b"\x12\x00" * 500_000),
        ("proto_predict", b"\x0a\x80\x01" * 100_000),
        ("proto_predict", b"\x93\x01" * 500_000),
        ("proto_classify", b"\x12\x80\x80\x40\x0a\xfc\xff\x3f" + b"\x0a\x00" * 524_286),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value):,}",
)
def test_a_request_takes_memory_in_proportion_to_its_size(name, body):
    """Python's memory and NumPy's, that is; protobuf's own is not traced."""
    tracemalloc.start()
    try:
        take(DECODERS[name], body)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < MOST_TIMES * len(body) + SOME_BYTES, f"{most / len(body):.0f} times"
