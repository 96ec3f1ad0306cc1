"""How long a worker that died stays down."""

STEADY_S = 60.0  # who served this long does not crash in a loop
LONGEST_S = 60.0


class Backoff:
    """At once after the first death; then 1 s, 2 s, 4 s and so on, until a worker has served for STEADY_S."""

    def __init__(self) -> None:
        self.deaths = 0  # one soon after the other

    def wait_s(self, served_s: float) -> float:
        """The wait after one more death, which came ``served_s`` after the worker began to serve; 0 if it never did."""
        self.deaths = 1 if served_s >= STEADY_S else self.deaths + 1
        return 0.0 if self.deaths == 1 else min(2.0 ** (self.deaths - 2), LONGEST_S)
