"""How many distinct things there were, in bounded memory."""

from bisect import bisect_left

HASH_SPAN = 1 << 64


class DistinctCount:
    """Counts distinct hashes: exactly up to ``size``, beyond it to about 1 in the root of ``size``. Not thread-safe.

    It keeps the smallest hashes alone: the nearer to zero the last of them is, the more there must have been.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._smallest: list[int] = []

    def add(self, hashed: int) -> None:
        """``hashed`` is spread evenly over 64 bits; its sign means nothing."""
        value = hashed % HASH_SPAN
        kept = self._smallest
        if len(kept) == self._size and value >= kept[-1]:
            return
        at = bisect_left(kept, value)
        if at < len(kept) and kept[at] == value:
            return
        kept.insert(at, value)
        if len(kept) > self._size:
            kept.pop()

    def clear(self) -> None:
        self._smallest.clear()

    @property
    def count(self) -> int:
        return _estimate(self._smallest, self._size)

    def together_with(self, other: "DistinctCount") -> int:
        """How many distinct hashes the two have seen; both are of one size."""
        return _estimate(sorted({*self._smallest, *other._smallest})[: self._size], self._size)


class RecentDistinct:
    """As DistinctCount, of the latest ``window`` hashes at most, and of half of them at least. Not thread-safe."""

    def __init__(self, window: int, size: int) -> None:
        self._half = window // 2
        self._size = size
        self._seen = 0
        self._new, self._old = DistinctCount(size), DistinctCount(size)

    def add(self, hashed: int) -> None:
        if self._seen == self._half:
            self._old, self._new, self._seen = self._new, DistinctCount(self._size), 0
        self._new.add(hashed)
        self._seen += 1

    @property
    def count(self) -> int:
        return self._new.together_with(self._old)


def _estimate(smallest: list[int], size: int) -> int:
    if len(smallest) < size:
        return len(smallest)
    return round((size - 1) * HASH_SPAN / (smallest[-1] + 1))
