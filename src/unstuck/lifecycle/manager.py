"""Loads the versions that are to be served, publishes those that are available, unloads the others."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.observers import VersionObserver
from unstuck.core.servables import Loader, Models
from unstuck.core.timers import call_later
from unstuck.errors import Quarantined, UnknownLabel, UnstuckError
from unstuck.lifecycle.harness import Accept, AvailableVersion, Harness, LoaderOf, may_pass, told
from unstuck.lifecycle.labels import Labels, check_labels
from unstuck.lifecycle.leases import Lease
from unstuck.lifecycle.options import DEFAULTS, ManagerOptions
from unstuck.lifecycle.policies import Check, Load, Phase
from unstuck.lifecycle.serving import Serving, replaced
from unstuck.lifecycle.source import Found
from unstuck.lifecycle.states import States
from unstuck.lifecycle.unloads import Unloads

RESTING = (Phase.NEW, Phase.CHECKED, Phase.FAILED, Phase.QUARANTINED)  # nothing of it is loaded, nor being loaded

log = logging.getLogger(__name__)


class Manager(Models):
    """The versions of every model, and their states. Thread-safe.

    Lookups take no lock: the mappings they read are replaced whole, never changed.
    """

    def __init__(
        self,
        loader_of: LoaderOf,
        accept: Accept,
        options: ManagerOptions = DEFAULTS,
        observers: Sequence[VersionObserver] = (),
    ) -> None:
        """Starts no thread before something is to be loaded.

        Args:
            loader_of: the loader of a version.
            accept: what a loaded version must pass before it serves; raises where it does not.
            options: threads, retries, and the policy.
            observers: hear of every change of a version's state.
        """
        self._loader_of = loader_of
        self._accept = accept
        self._options = options
        self._changed = threading.Condition()
        self._states = States(observers)
        self._serving: Mapping[str, Serving] = {}
        self._labels: Labels = {}
        self._awaited: frozenset[str] = frozenset()
        self._quarantined: frozenset[tuple[str, int]] = frozenset()
        self._held: dict[tuple[str, int], Quarantined] = {}
        self._harnesses: dict[str, list[Harness]] = {}
        self._wanted: dict[str, Sequence[Found]] = {}
        self._loading = ThreadPoolExecutor(max(options.load_threads, 1), thread_name_prefix="unstuck-load")
        self._unloads = Unloads(max(options.unload_threads, 1), self._unloaded)
        self._stopping = False

    # The lookup, on every call's path.

    def find(self, spec: ModelSpec) -> AvailableVersion:
        serving = self._serving.get(spec.name)
        version = spec.version if spec.label is None else self._labelled(spec.name, spec.label)
        if serving is not None:
            found = serving.newest if version is None else serving.versions.get(version)
            if found is not None:
                return found
        raise self._states.why_not(ModelSpec(spec.name, version))

    def _labelled(self, name: str, label: str) -> int:
        labels = self._labels.get(name, {})
        version = labels.get(label)
        if version is None:
            raise UnknownLabel(name, label, labels)
        return version

    # What is known.

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """The states of ``name``'s versions, or of the one version asked for.

        Raises:
            NotFound: no such model, or no such version of it.
        """
        return self._states.of(name, version)

    def statuses(self) -> dict[str, list[VersionStatus]]:
        """Every model's versions and their states."""
        return self._states.all()

    @property
    def ready(self) -> bool:
        """Whether every model serves, but for those added since that never did, and no version is in quarantine."""
        models, serving = self._states.models & self._awaited, self._serving
        return bool(models) and not self._quarantined and all(name in serving for name in models)

    @property
    def quarantined(self) -> frozenset[tuple[str, int]]:
        """The versions that would serve if they were not in quarantine, by name and number."""
        return self._quarantined

    @property
    def labels(self) -> Labels:
        """The version that each label means, by model."""
        return self._labels

    def available(self) -> list[AvailableVersion]:
        """Every version that serves. Whoever holds one of them keeps it from being unloaded."""
        return [version for each in self._serving.values() for version in each.versions.values()]

    def is_available(self, name: str, version: int) -> bool:
        """Whether this version serves."""
        serving = self._serving.get(name)
        return serving is not None and version in serving.versions

    def wait_until_settled(self, names: Iterable[str]) -> None:
        """Returns once every version of these models that is to be served does, or has failed for good."""
        waited_for = list(names)
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or all(map(self._is_settled, waited_for)))

    def _is_settled(self, name: str) -> bool:
        pending = (Phase.NEW, Phase.CHECKING, Phase.CHECKED, Phase.LOADING)
        return not any(each.is_aspired and each.phase in pending for each in self._harnesses.get(name, ()))

    # What is to be served.

    def set_models(self, names: Iterable[str]) -> None:
        """Serves these from now on, as soon as versions of them are aspired, and nothing else."""
        with self._changed:
            self._states.set_models(names)
            self._awaited = self._awaited or self._states.models
            for name in [name for name in self._harnesses if name not in self._states.models]:
                self._wanted[name] = ()
                self._reconcile(name)

    def set_labels(self, labels: Labels, *, allow_unavailable: bool) -> None:
        """Replaces all labels. Raises SetupError, and changes nothing; see ``check_labels``."""
        with self._changed:
            check_labels(labels, self._labels, self.is_available, allow_unavailable=allow_unavailable)
            self._labels = labels

    def aspire(self, name: str, versions: Sequence[Found]) -> None:
        """Of this model, serves these versions from now on, and no other once one of these serves.

        A version that has failed is tried again once its files have changed, and have stopped changing.
        """
        with self._changed:
            failed = [each for each in self._harnesses.get(name, ()) if each.phase is Phase.FAILED]
        healed = [each for each in failed if each.has_healed(self._options.room)]  # reads files, so without the lock
        with self._changed:
            if self._stopping or name not in self._states.models:
                return
            for harness in healed:
                self._forget(harness)
            self._wanted[name] = versions
            self._states.set_problem(name, None)
            self._reconcile(name)

    def report_problem(self, name: str, problem: UnstuckError) -> None:
        """Why no version of ``name`` can be found; those that serve go on serving."""
        self._states.set_problem(name, problem)

    def quarantine(self, why: Quarantined, copy: AvailableVersion | None = None) -> None:
        """Takes a version out of service; it is unloaded after its last call.

        Args:
            why: says which.
            copy: only if it is this one that serves; None holds back whatever comes, too, until ``release``.
        """
        with self._changed:
            if copy is None:
                self._held[why.name, why.version] = why
            for harness in self._harnesses.get(why.name, ()):
                if harness.version == why.version and (copy is None or harness.serving is copy):
                    self._quarantine(harness, why)
                    self._act(why.name)

    def release(self, name: str, version: int) -> None:
        """Ends what holds a version back, and has it loaded again."""
        with self._changed:
            self._held.pop((name, version), None)
            self.load_again(name, version)

    def load_again(self, name: str, version: int) -> None:
        """Has a version in quarantine serve once it has loaded and is accepted, unless it is held back."""
        with self._changed:
            is_held = (name, version) in self._held or self._stopping
            for harness in self._harnesses.get(name, ()):
                if harness.version == version and harness.phase is Phase.QUARANTINED and not is_held:
                    harness.phase = Phase.NEW
                    self._set_state(harness, State.START)
                    self._act(name)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends every version that answers no call any more; waits ``timeout_s`` for those that do."""
        end = time.monotonic() + timeout_s
        with self._changed:
            self._stopping = True
            for harness in [each for harnesses in self._harnesses.values() for each in harnesses]:
                harness.gives_up_retry()
                if harness.phase is Phase.READY:
                    self._withdraw(harness)
            self._changed.notify_all()
        self._loading.shutdown(wait=True, cancel_futures=True)  # what is being loaded cannot be interrupted
        self._unloads.join(end)

    # From here on: called with the lock held, but for the work of threads.

    def _reconcile(self, name: str) -> None:
        """Compares what is wanted with what there is; a version on its way out is looked at again once it is gone."""
        harnesses = self._harnesses.setdefault(name, [])
        wanted = self._wanted[name]
        for harness in list(harnesses):
            harness.is_aspired = harness.found in wanted
            if harness.is_aspired:
                continue
            if harness.phase in RESTING or harness.gives_up_retry():
                self._end(harness)
        known = {each.found for each in harnesses}
        for found in wanted:
            if found not in known:
                harnesses.append(Harness(name, found))
                self._set_state(harnesses[-1], State.START)
                if held := self._held.get((name, found.version)):
                    self._quarantine(harnesses[-1], held)
        self._act(name)

    def _act(self, name: str) -> None:
        """Does what the policy says, until it says nothing more."""
        harnesses = self._harnesses[name]
        self._mark_quarantined(name)
        if name in self._serving:
            self._serve(name, self._serving[name].versions)  # whichever is the newest now
        while not self._stopping:
            snapshots = [each.snapshot() for each in harnesses]
            action = self._options.policy(snapshots)
            if action is None:
                break
            harness = harnesses[snapshots.index(action.target)]
            if isinstance(action, Check | Load):
                harness.phase = Phase.LOADING if isinstance(action, Load) else Phase.CHECKING
                self._loading.submit(self._load_in_turn, harness)
            else:
                self._withdraw(harness)
        self._changed.notify_all()

    def _load_in_turn(self, harness: Harness) -> None:
        """Or checks it; on a loading thread, without the lock."""
        with self._options.load_turn():
            self._load(harness)

    def _load(self, harness: Harness) -> None:
        with self._changed:
            if self._stopping or not harness.is_aspired:
                self._end(harness)
                self._act(harness.name)
                return
            is_loading = harness.phase is Phase.LOADING
            if is_loading:
                self._set_state(harness, State.LOADING)
            others = (each for each in self._harnesses[harness.name] if each.loader and not each.is_aspired)
            beside = [each.version for each in others]
        loader_of, room, loaded = self._loader_of, self._options.room, None
        try:
            if is_loading:
                loaded = harness.load(loader_of, self._accept, room, beside)
            else:
                harness.check(loader_of, room, beside)
        except Exception as error:  # noqa: BLE001 - whatever it is, only this version may suffer from it
            self._fail(harness, error)
        else:
            self._publish(harness, *loaded) if loaded else self._checked(harness)

    def _checked(self, harness: Harness) -> None:
        """Without the lock."""
        with self._changed:
            harness.phase = Phase.CHECKED
            if not harness.is_aspired:
                self._end(harness)
            elif held := self._held.get((harness.name, harness.version)):
                self._rest(harness, held)
            self._act(harness.name)

    def _fail(self, harness: Harness, error: Exception) -> None:
        """Without the lock."""
        log.debug("model %r version %d", harness.name, harness.version, exc_info=error)
        is_lasting = not may_pass(error)
        options = self._options
        with self._changed:
            harness.error = told(harness.name, harness.version, error)
            if harness.quarantine is not None and harness.is_aspired and not self._stopping:
                self._rest(harness, harness.quarantine.after(harness.error))
                return
            harness.attempts += 1
            if is_lasting or harness.attempts > options.load_retries or not harness.is_aspired or self._stopping:
                harness.phase = Phase.FAILED
                self._set_state(harness, State.END)
                if not harness.is_aspired:
                    self._forget(harness)
                self._act(harness.name)
                return
            wait_s = max(options.load_retry_interval_s, 0)
            log.warning(
                "%s Trying again in %g s (%d of %d).", harness.error, wait_s, harness.attempts, options.load_retries
            )
            harness.retry = call_later(wait_s, self._retry, harness)

    def _retry(self, harness: Harness) -> None:
        """On a timer's thread, without the lock."""
        with self._changed:
            if not self._stopping and harness.retry is not None:
                harness.retry = None
                self._loading.submit(self._load_in_turn, harness)

    def _publish(self, harness: Harness, loader: Loader, version: AvailableVersion) -> None:
        """Without the lock."""
        with self._changed:
            harness.loader, harness.serving, harness.error = loader, version, None
            harness.lease = Lease(version, f"Model {harness.name!r} version {harness.version}")
            harness.phase = Phase.READY
            harness.quarantine = self._held.get((harness.name, harness.version))
            if harness.quarantine is not None:
                self._withdraw(harness)
                self._act(harness.name)
                return
            serving = self._serving.get(harness.name)
            self._serve(harness.name, {**(serving.versions if serving else {}), harness.version: version})
            self._awaited |= {harness.name}
            self._set_state(harness, State.AVAILABLE)
            if self._stopping:
                self._withdraw(harness)
            self._act(harness.name)

    def _serve(self, name: str, versions: Mapping[int, AvailableVersion]) -> None:
        self._serving = replaced(self._serving, name, versions, self._quarantined)

    def _quarantine(self, harness: Harness, why: Quarantined) -> None:
        harness.quarantine = why
        if harness.gives_up_retry():
            harness.phase = Phase.QUARANTINED
        self._mark_quarantined(harness.name)  # before anybody hears of it, and asks whether all is well
        if harness.phase is Phase.READY:
            self._withdraw(harness)
        elif harness.phase in RESTING:
            self._rest(harness, why)

    def _rest(self, harness: Harness, why: Quarantined) -> None:
        """Nothing of it is loaded, and nothing will be before ``load_again``."""
        harness.quarantine, harness.phase = why, Phase.QUARANTINED
        self._set_state(harness, State.END)
        self._act(harness.name)

    def _mark_quarantined(self, name: str) -> None:
        found = {(name, each.version) for each in self._harnesses[name] if each.is_aspired and each.quarantine}
        self._quarantined = frozenset(each for each in self._quarantined if each[0] != name) | found

    def _withdraw(self, harness: Harness) -> None:
        """Gives it to no further call; it is unloaded after the last one."""
        harness.phase = Phase.UNLOADING
        self._set_state(harness, State.UNLOADING)
        serving = self._serving.get(harness.name)
        if serving is not None and serving.versions.get(harness.version) is harness.serving:
            left = {number: each for number, each in serving.versions.items() if number != harness.version}
            self._serve(harness.name, left)
        harness.serving = None
        self._unloads.start(harness)

    def _unloaded(self, harness: Harness) -> None:
        """Without the lock."""
        with self._changed:
            if harness.quarantine is not None and harness.is_aspired and not self._stopping:
                self._rest(harness, harness.quarantine)
                return
            self._end(harness)
            if not self._stopping:
                self._reconcile(harness.name)

    def _end(self, harness: Harness) -> None:
        harness.phase, harness.quarantine = Phase.ENDED, None
        self._set_state(harness, State.END)
        self._forget(harness)

    def _forget(self, harness: Harness) -> None:
        self._harnesses[harness.name].remove(harness)

    def _set_state(self, harness: Harness, state: State) -> None:
        same = [each for each in self._harnesses[harness.name] if each.version == harness.version]
        if same[-1] is harness:  # and not one at another path that takes its place
            error = harness.quarantine or (harness.error if state is State.END else None)
            self._states.set(harness.name, VersionStatus(harness.version, state, error))
