"""Which versions of remote base paths are to be served.

An object store has no folders that could be renamed once they are whole, so a version is seen while it is uploaded. One
that appears is taken once its listing has stood still from one look to a later one.
"""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from unstuck.core.locations import RemotePath
from unstuck.core.models import Latest, ModelConfig
from unstuck.errors import SetupError
from unstuck.lifecycle.remote import RemoteModels, RemoteVersion
from unstuck.lifecycle.remote_store import RemoteFiles, Unreachable
from unstuck.lifecycle.source import chosen

log = logging.getLogger(__name__)
events = logging.getLogger("unstuck.versions")

MONTH_S = 365.25 / 12 * 24 * 3600
LOOK_BACK = 10  # folders that are no version, or not yet, are passed over; each costs a listing
STILL_SHARE = 0.5  # of the wait between two looks: a reload looks in between


@dataclass(slots=True)
class _State:
    """What is known of one model's versions.

    Attributes:
        old: those that were there at the first look, and not looked into yet.
        whole: those that were found to be so; they stay so, as do local ones whose files change while they serve.
        served: those that were chosen at the latest look; None before one.
        rising: of those that are not, the files at an earlier look, and when they were first the same.
    """

    old: set[RemoteVersion]
    whole: set[RemoteVersion] = field(default_factory=set[RemoteVersion])
    served: frozenset[int] | None = None
    rising: dict[RemoteVersion, tuple[RemoteFiles, float]] = field(
        default_factory=dict[RemoteVersion, tuple[RemoteFiles, float]]
    )

    def forget_all_but(self, found: Collection[RemoteVersion]) -> None:
        self.old.intersection_update(found)
        self.whole.intersection_update(found)
        self.rising = {each: seen for each, seen in self.rising.items() if each in found}


class RemoteLook:
    """Used by one thread at a time, but for ``stop`` and ``check``."""

    def __init__(self, models: RemoteModels, wait_s: float) -> None:
        """``wait_s``: the time between two looks; 0 looks only when asked, less never."""
        self.wait_s = wait_s
        self._models = models
        self._keys: set[tuple[str, Path | RemotePath]] = set()
        self._states: dict[tuple[str, RemotePath], _State] = {}

    def stop(self) -> None:
        """Copies nothing more."""
        self._models.stop()

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        """Forgets all others; says what looking at the base paths of these costs."""
        before, self._keys = self._keys, {(model.name, model.base_path) for model in models}
        self._states = {key: state for key, state in self._states.items() if key in self._keys}
        if self._keys - before and self.wait_s > 0:
            events.info(
                "Remote base paths (%d) are listed every %g s: about %s calls a month (--remote_poll_wait_seconds)",
                len(self._keys),
                self.wait_s,
                f"{len(self._keys) * MONTH_S / self.wait_s:,.0f}",
            )

    def check(self, base: RemotePath) -> None:
        """Raises SetupError where nothing can be served from ``base``, even later."""
        try:
            self._models.versions(base)
        except Unreachable:  # the looks will say so, and go on
            return

    def look(self, model: ModelConfig, base: RemotePath) -> tuple[list[RemoteVersion], list[RemoteVersion]]:
        """The versions that there are, and those of them to be served: none only if ``model`` names others.

        Raises:
            SetupError: there is none, or none that is whole; Unreachable where that cannot be told.
        """
        state = self._states.get((model.name, base))
        try:
            found = self._models.versions(base)
        except Unreachable:
            raise
        except SetupError:
            self._states[model.name, base] = _State(old=set())  # what comes, comes while it is looked at
            raise
        if state is None:
            state = self._states[model.name, base] = _State(old=set(found))
        state.forget_all_but(found)
        wanted = chosen(found, model.versions)
        if isinstance(model.versions, Latest):
            count = len(wanted)
            newest = (each for each in reversed(found[-count - LOOK_BACK :]) if self._is_whole(each, state))
            versions = list(islice(newest, count))[::-1]
        else:
            versions = [each for each in wanted if self._is_whole(each, state)]
        if wanted and not versions:
            listed = ", ".join(str(each.version) for each in wanted)
            raise SetupError(
                f"{base}: version {listed} is not whole: it has no saved_model.pb, model.onnx or model.tflite, "
                "or its files still change."
            )
        state.served = frozenset(each.version for each in versions)
        return found, versions

    def _is_whole(self, version: RemoteVersion, state: _State) -> bool:
        if version in state.whole:
            return True
        files = version.files()
        now = time.monotonic()
        before, since = state.rising.get(version, (None, now))
        is_still = files == before and now - since >= self.wait_s * STILL_SHARE
        if version.has_model(files) and (version in state.old or self.wait_s <= 0 or is_still):
            state.whole.add(version)
            return True
        state.old.discard(version)
        if files != before:
            state.rising[version] = files, now
        if before is None:
            events.info("%s: waiting until it is whole", version)
        return False

    def tidy(self) -> None:
        """Removes the copies of versions that are not to be served any more."""
        served: dict[str, frozenset[int] | None] = {}
        for (_, base), state in self._states.items():
            known = served.get(str(base), frozenset())
            served[str(base)] = None if known is None or state.served is None else known | state.served
        try:
            self._models.cache.tidy({base: versions for base, versions in served.items() if versions is not None})
        except (OSError, SetupError) as error:  # nothing waits for it
            log.warning("Old copies of remote models could not be removed: %s", error)
