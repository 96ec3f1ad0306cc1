import gzip
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.errors import BodyTooLarge, InflatesTooMuch, MalformedBody
from unstuck.guard import inflation
from unstuck.guard.inflation import FREE_BYTES, PIECE_BYTES, gunzip

PLENTY = 1 << 30
SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 2 * PIECE_BYTES + 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, random.Random(0).randbytes], ids=["zeros", "noise"])
def test_what_was_packed_comes_out_and_its_beginning_does_not(size, kind):
    plain = kind(size)
    packed = gzip.compress(plain, 1)
    assert gunzip(packed, size) == plain
    for cut in (1, 8, len(packed) - 1):
        with pytest.raises(MalformedBody):
            gunzip(packed[:-cut], PLENTY)


@pytest.mark.parametrize("size", [1, 1000, PIECE_BYTES, 2 * PIECE_BYTES])
def test_the_limit_is_the_last_byte_that_is_taken(size):
    packed = gzip.compress(bytes(size), 1)
    assert len(gunzip(packed, size)) == size
    with pytest.raises(BodyTooLarge, match=f"limit of {size - 1:,} bytes"):
        gunzip(packed, size - 1)


def test_beyond_what_is_free_the_ratio_is_limited(monkeypatch):
    monkeypatch.setattr(inflation, "FREE_BYTES", PIECE_BYTES)
    small, large = gzip.compress(bytes(PIECE_BYTES)), gzip.compress(bytes(4 * PIECE_BYTES))
    assert len(gunzip(small, PLENTY, 10)) == PIECE_BYTES
    with pytest.raises(InflatesTooMuch, match=r"inflate to more than 2,097,152: 10 times.*--rest_api_max_inflation"):
        gunzip(large, PLENTY, 10)
    assert len(gunzip(large, PLENTY, 2000)) == 4 * PIECE_BYTES
    noise = random.Random(1).randbytes(4 * PIECE_BYTES)
    assert gunzip(gzip.compress(noise, 1), PLENTY, 2) == noise


def test_a_bomb_is_given_up_before_it_takes_memory():
    bomb = gzip.compress(bytes(200 << 20), 9)
    tracemalloc.start()
    try:
        with pytest.raises(InflatesTooMuch):
            gunzip(bomb, PLENTY)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2 * FREE_BYTES


@given(st.binary(max_size=200), st.integers(0, 40))
def test_any_bytes_are_inflated_or_refused(data, at):
    packed = gzip.compress(data)
    for body in (data, packed[:at] + data[:3] + packed[at + 3 :]):
        try:
            assert len(gunzip(body, 1000)) <= 1000
        except (BodyTooLarge, MalformedBody):
            continue
