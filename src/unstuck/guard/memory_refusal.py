"""Whether a version's memory is there, and what is said where it is not: figures in, words out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from unstuck.core.allowance import GIBIBYTE, MACHINE, MEBIBYTE, MemoryBound, size_text
from unstuck.errors import NotEnoughMemory


@dataclass(frozen=True, slots=True)
class Need:
    """What a version asks for.

    Attributes:
        size: in bytes, at the most, while it is loaded.
        is_measured: it was, when the same files were loaded before; otherwise it is an estimate from them.
        held: by version, what others of the model hold in bytes, which go once this one serves.
        unloads_first: whether they go before it is loaded, so that it can have what they hold.
    """

    size: int
    is_measured: bool
    held: Mapping[int, int]
    unloads_first: bool

    @property
    def freed(self) -> int:
        """What is there besides what is left, once it is loaded."""
        return sum(self.held.values()) if self.unloads_first else 0


def refusal(need: Need, bound: MemoryBound, left: int) -> NotEnoughMemory | None:
    """Why ``need`` cannot be met; None where it can.

    Args:
        need: what is asked for.
        bound: the limit with the least left.
        left: of it, without what is promised to other loads.
    """
    if need.size <= left + need.freed:
        return None
    whole = f"{bound.owner}'s {size_text(bound.limit)}" + (f" ({bound.kind})" if bound.kind else "")
    how = "measured when it was loaded before" if need.is_measured else "estimated from its files"
    said = [f"needs {size_text(need.size)} of memory ({how}), {size_text(left)} left of {whole}"]
    if left < bound.left:
        said.append(f"{size_text(bound.left - left)} are promised to versions that are being loaded")
    said += [f"version {version} holds {size_text(size)}" for version, size in sorted(need.held.items()) if size]
    text = f"it {'; '.join(said)}" + (", which would not be enough besides." if need.freed else ".")
    return NotEnoughMemory(text, hint=_hint(need, bound, left), needed=need.size, freed=need.freed)


def _hint(need: Need, bound: MemoryBound, left: int) -> str:
    held = sum(need.held.values())
    ways: list[str] = []
    if held and not need.unloads_first and need.size <= left + held:
        ways.append("unload the old version first (--aspired_version_policy=resource_preserving)")
    if bound.owner == MACHINE:
        ways.append("serve less on this machine, or take one with more memory")
    else:
        ways.append(f"raise the limit to {_rounded_up(bound.limit - left - need.freed + need.size)}")
    advice = " or ".join(ways)
    return f"{advice[0].upper()}{advice[1:]}."


def _rounded_up(size: int) -> str:
    """To whole steps of what is shown, so that what is shown is enough."""
    step = GIBIBYTE // 10 if size >= GIBIBYTE else MEBIBYTE
    return size_text(math.ceil(size / step) * step)
