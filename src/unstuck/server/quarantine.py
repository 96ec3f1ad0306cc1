"""Versions that are suspected, checked, taken out of service, and loaded again; those that operators take out, too."""

import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from weakref import WeakKeyDictionary

from unstuck.acceptance.canary import ask, first_failure, golden_rows
from unstuck.config.settings import GoldenRows
from unstuck.core.models import State, VersionStatus
from unstuck.core.observers import VersionObserver
from unstuck.core.servables import Servable
from unstuck.core.signatures import Signature
from unstuck.core.timers import call_later
from unstuck.errors import LoadFailed, NotReady, Quarantined
from unstuck.guard.guarded import GuardedServable, Known, Watching
from unstuck.guard.quarantine import Failure, Reloads
from unstuck.lifecycle.harness import AvailableVersion
from unstuck.lifecycle.manager import Manager
from unstuck.monitor.events import EventHistory
from unstuck.monitor.families import Family, FamilySource
from unstuck.monitor.instruments import Counter, Labels, Reading
from unstuck.server.peers import OperatorsWish, Peers

log = logging.getLogger("unstuck.versions")

THREADS = 2
TICK_S = 0.25
AGAIN_S = 1.0  # till a version is checked again whose failure may pass
MOST_ASKED = 3  # inputs known to work, in one check
SHARE = 100  # of a version's time, canaries take at most one part in so many


@dataclass(eq=False)
class _Case:
    """What is known of a version from load to load.

    Attributes:
        reloads: how long its reloads wait.
        serves_since_s: when it last came into service.
        is_out: whether it is out of service.
        condemned_by: the input that was answered wrongly, where no load asks it anyway.
        timer: of the next reload.
    """

    reloads: Reloads = field(default_factory=Reloads)
    serves_since_s: float = 0.0
    is_out: bool = False
    condemned_by: Known | None = None
    timer: threading.Timer | None = None


@dataclass(eq=False)
class _Copy:
    """What is known of one loaded copy of a version: which it is, when its next canary is due, and which were asked."""

    name: str
    version: int
    due_s: float
    asked: int = 0


class Quarantines(Watching, VersionObserver, FamilySource):
    """Thread-safe; ``start`` and ``stop`` once.

    Attributes:
        manager: has the versions; to be set before anything is loaded.
    """

    manager: Manager

    def __init__(self, history: EventHistory, interval_s: float, golden: GoldenRows) -> None:
        """Checks nothing yet.

        Args:
            history: what happens is noted there.
            interval_s: the time between two canaries of a version that is called; 0 asks none.
            golden: what golden rows are good for; ``off`` asks none of them.
        """
        self._history = history
        self._interval_s = interval_s
        self._golden: GoldenRows = golden
        self._lock = threading.Lock()
        self._held: set[tuple[str, int]] = set()
        self._cases: dict[tuple[str, int], _Case] = {}
        self._copies: WeakKeyDictionary[GuardedServable, _Copy] = WeakKeyDictionary()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="unstuck-canary")
        self._stopped = threading.Event()
        self._quarantines = Counter(
            "unstuck_quarantines_total", "How often a version was taken out of service.", ["model", "version", "reason"]
        )
        self._canaries = Counter(
            "unstuck_canaries_total",
            "How often a version was asked inputs known to work while it served.",
            ["model", "version", "outcome"],
        )
        self._now = Reading(
            "unstuck_quarantined",
            "gauge",
            "1 for a version that is in quarantine, 0 for one that serves.",
            ["model", "version"],
            self._states,
        )

    def start(self) -> None:
        """Asks canaries from now on."""
        if self._interval_s > 0:
            threading.Thread(target=self._keep_asking, name="unstuck-canaries", daemon=True).start()

    def stop(self) -> None:
        """Asks, checks and loads nothing any more."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for case in self._cases.values():
                _cancel(case)

    def families(self) -> Iterator[Family]:
        yield from self._now.families()
        yield from self._quarantines.families()
        yield from self._canaries.families()

    def _states(self) -> dict[Labels, float]:
        serving = {(each.name, str(each.version)): 0.0 for each in self.manager.available()}
        return {**serving, **{(name, str(version)): 1.0 for name, version in self.manager.quarantined}}

    # A version that is loaded.

    def guarded(self, name: str, version: int, servable: Servable) -> GuardedServable:
        """``servable``, watched; what it answers from now on is learned from, and held against it after ``accept``."""
        guarded = GuardedServable(servable, self)
        with self._lock:
            self._copies[guarded] = _Copy(name, version, monotonic() + self._interval_s)
        return guarded

    def accept(self, name: str, version: int, path: Path, guarded: GuardedServable) -> None:
        """Raises LoadFailed where what condemned an earlier copy is still answered wrongly."""
        if guarded.is_condemned:
            raise LoadFailed("it was taken out of service while it was loaded")
        case = self._cases.get((name, version))
        if case is not None and case.condemned_by is not None:
            failure = ask(guarded.inner, case.condemned_by)
            if failure is not None:
                raise LoadFailed(f"what it was taken out of service for has not passed: {failure.said}")
        unwatched = AvailableVersion(name, version, guarded.inner)
        is_asked = self._golden != "off"
        guarded.arm(golden_rows(unwatched, path, have_passed=self._golden == "check") if is_asked else {})

    def version_changed(self, name: str, status: VersionStatus) -> None:
        """Called with the manager's lock held."""
        key = name, status.version
        with self._lock:
            if status.state is State.AVAILABLE:
                self._is_back(key)
            elif status.state is State.END and isinstance(status.error, Quarantined):
                self._is_out(key, status.error)
            elif status.state is State.END and status.error is None:
                _cancel(self._cases.pop(key, _Case()))

    def _is_back(self, key: tuple[str, int]) -> None:
        case = self._cases.setdefault(key, _Case())
        case.serves_since_s = monotonic()
        if case.is_out:
            case.is_out, case.condemned_by = False, None
            self._history.noticed(*key, "out of quarantine")
            log.info("Model %r version %d is out of quarantine, and serves.", *key)

    def _is_out(self, key: tuple[str, int], why: Quarantined) -> None:
        """Nothing of it is loaded any more."""
        case = self._cases.setdefault(key, _Case())
        case.is_out = True
        _cancel(case)
        if key in self._held or self._stopped.is_set():
            return
        wait_s = case.reloads.wait_s(0 if why.attempts else monotonic() - case.serves_since_s)
        log.info("Model %r version %d is loaded again %s.", *key, f"in {wait_s:g} s" if wait_s else "at once")
        case.timer = call_later(wait_s, self.manager.load_again, *key)

    # What is suspected, and checked.

    def failed(self, guarded: GuardedServable, signature: Signature, error: BaseException) -> None:
        log.debug("suspected: signature %r", signature.name, exc_info=error)
        every = [each for rows in list(guarded.known.values()) for each in rows]
        known = guarded.known.get(signature.name) or every
        self._submit(self._check, guarded, random.sample(list(known), min(len(known), MOST_ASKED)))

    def not_finite(self, guarded: GuardedServable, signature: Signature, alias: str) -> None:
        with guarded.checking:
            if guarded.is_condemned or monotonic() < guarded.acquitted_until_s:
                return
            known = random.choice(guarded.known[signature.name])
            began_s = monotonic()
            failure = ask(guarded.inner, known)
            self._count(guarded, failed=failure is not None)
            if failure is None:
                guarded.acquit(monotonic() - began_s)
            elif guarded.suspicion.is_condemned_by(failure):
                self._condemn(guarded, known, failure)
            else:
                raise NotReady(
                    f"Output {alias!r} has NaN or Infinity, and whether the model is sound cannot be said now: "
                    f"{failure.said}",
                    hint="Try again in a moment.",
                )

    def _submit(self, work: Callable[[GuardedServable, Sequence[Known]], None], *arguments: object) -> None:
        if not self._stopped.is_set():
            self._pool.submit(_logged, work, *arguments)

    def _check(self, guarded: GuardedServable, known: Sequence[Known], *, is_canary: bool = False) -> None:
        """Asks ``known``, on a thread of ours."""
        lease = self._lease(guarded)  # so that it is not unloaded meanwhile
        if lease is None or guarded.is_condemned:
            return
        began_s = monotonic()
        found = first_failure(guarded.inner, known)
        ended_s = monotonic()
        took_s = ended_s - began_s
        if known:
            self._count(guarded, failed=found is not None)
        if found is None:
            guarded.suspicion.passed()
            if not is_canary:
                guarded.suspicion.acquit(ended_s, took_s)
        elif guarded.suspicion.is_condemned_by(found[1]):
            self._condemn(guarded, *found)
        else:
            call_later(AGAIN_S, self._submit, partial(self._check, is_canary=is_canary), guarded, known)
        self._copies[guarded].due_s = ended_s + max(self._interval_s, SHARE * took_s)

    def _count(self, guarded: GuardedServable, *, failed: bool) -> None:
        copy = self._copies[guarded]
        self._canaries.add((copy.name, str(copy.version), "failed" if failed else "passed"))

    def _condemn(self, guarded: GuardedServable, known: Known, failure: Failure) -> None:
        copy = self._copies[guarded]
        why = Quarantined(copy.name, copy.version, failure.kind, failure.said)
        with self._lock:
            if guarded.is_condemned:
                return
            guarded.condemn(why)
            case = self._cases.setdefault((copy.name, copy.version), _Case())
            case.condemned_by = None if known.is_golden else known
        self._say(why)
        lease = self._lease(guarded)
        if lease is not None:
            self.manager.quarantine(why, lease)

    def _say(self, why: Quarantined) -> None:
        self._quarantines.add((why.name, str(why.version), why.kind))
        self._history.noticed(why.name, why.version, f"quarantined: {why.kind}", why.reason)
        log.error("%s", why.message)

    def _lease(self, guarded: GuardedServable) -> AvailableVersion | None:
        """The version that serves by ``guarded``; None where none does any more."""
        return next((each for each in self.manager.available() if each.servable is guarded), None)

    # Canaries.

    def _keep_asking(self) -> None:
        while not self._stopped.wait(min(TICK_S, self._interval_s)):
            self._ask_those_due()

    def _ask_those_due(self) -> None:
        """Of each version that was called since its last canary, and whose next one is due, the next known input."""
        now_s = monotonic()
        with self._lock:
            due = [guarded for guarded, copy in self._copies.items() if guarded.has_run and now_s >= copy.due_s]
        for guarded in due:
            known = [each for rows in list(guarded.known.values()) for each in rows]
            if known:
                copy = self._copies[guarded]
                guarded.has_run, copy.due_s = False, now_s + self._interval_s
                copy.asked += 1
                self._submit(partial(self._check, is_canary=True), guarded, [known[copy.asked % len(known)]])

    # An operator's.

    def hold(self, name: str, version: int, reason: str) -> None:
        """Takes a version out of service until ``release``; one that is not there yet, once it comes."""
        why = Quarantined(name, version, "operator", reason)
        with self._lock:
            if (name, version) in self._held:
                return
            self._held.add((name, version))
            for guarded, copy in self._copies.items():
                if (copy.name, copy.version) == (name, version):
                    guarded.condemn(why)
        self._say(why)
        self.manager.quarantine(why)

    def fulfil(self, wishes: Sequence[OperatorsWish]) -> None:
        """As ``hold`` and ``release``."""
        for wish in wishes:
            if wish["reason"] is None:
                self.release(wish["model"], wish["version"])
            else:
                self.hold(wish["model"], wish["version"], wish["reason"])

    def release(self, name: str, version: int) -> None:
        """Has a version that is in quarantine, for whatever reason, loaded again now."""
        with self._lock:
            self._held.discard((name, version))
        self.manager.release(name, version)


@dataclass(frozen=True, slots=True)
class Operator:
    """What an operator may do, in every process of the server."""

    quarantines: Quarantines
    peers: Peers | None

    def quarantine(self, name: str, version: int, reason: str) -> None:
        """Takes a version out of service, until ``release``. Raises NotFound: there is none such."""
        self._do(name, version, reason)

    def release(self, name: str, version: int) -> None:
        """Has a version that is in quarantine, for whatever reason, loaded again now. Raises NotFound."""
        self._do(name, version, None)

    def _do(self, name: str, version: int, reason: str | None) -> None:
        self.quarantines.manager.status(name, version)
        wish = {"model": name, "version": version, "reason": reason}
        if self.peers is not None:
            self.peers.quarantine(wish)
        else:
            self.quarantines.fulfil([wish])


def _cancel(case: _Case) -> None:
    if case.timer is not None:
        case.timer.cancel()


def _logged(work: Callable[..., None], *arguments: object) -> None:
    try:
        work(*arguments)
    except Exception:  # whatever it is, it is no call's
        log.exception("A version could not be checked")
