"""The versions that serve, as lookups read them without a lock: mappings that are replaced whole, never changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from unstuck.lifecycle.harness import AvailableVersion


@dataclass(frozen=True, slots=True)
class Serving:
    """The versions of one model that serve.

    Attributes:
        newest: the one that a request without a version means; None where a newer one is in quarantine, for its answers
            are not those of an older one.
        versions: by number; not empty.
    """

    newest: AvailableVersion | None
    versions: Mapping[int, AvailableVersion]


def replaced(
    serving: Mapping[str, Serving],
    name: str,
    versions: Mapping[int, AvailableVersion],
    quarantined: Collection[tuple[str, int]],
) -> Mapping[str, Serving]:
    """``serving`` with ``versions`` as those of the model ``name``; ``quarantined`` are versions by name and number."""
    others = {other: each for other, each in serving.items() if other != name}
    if versions:
        newest = max(versions)
        is_newest = not any(other == name and version > newest for other, version in quarantined)
        others[name] = Serving(versions[newest] if is_newest else None, MappingProxyType(dict(versions)))
    return MappingProxyType(others)
