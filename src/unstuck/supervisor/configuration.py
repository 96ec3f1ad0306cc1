"""The configuration that all workers have: changed in all of them or in none."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from unstuck.errors import ModelsUnavailable, NotReady, UnstuckError
from unstuck.supervisor import messages
from unstuck.supervisor.messages import Configuration, OperatorsWish, Told
from unstuck.supervisor.worker import Worker

IN_FORCE = ModelsUnavailable.__name__  # the error of a change that was made: a new model cannot be loaded
GONE = NotReady.__name__  # it died: the next process begins with what is in force


class SharedConfiguration:
    """Belongs to the supervisor's loop.

    Attributes:
        current: what is in force.
        generation: how often it was changed.
        quarantines: what operators have taken out of service, by model and version.
    """

    def __init__(self, first: Configuration, workers: Callable[[], Sequence[Worker]]) -> None:
        self.current = first
        self.generation = 0
        self.quarantines: dict[tuple[str, int], OperatorsWish] = {}
        self._workers = workers
        self._changing = asyncio.Lock()

    async def change(self, new: Configuration) -> None:
        """Puts ``new`` into force in every worker that takes calls; the others take it over before they do.

        Raises:
            Told: a worker refuses it; those that did not have the old one again. Or it is in force, and a new model
                cannot be served.
        """
        async with self._changing:
            workers = [each for each in self._workers() if each.listens]
            outcomes = dict(zip(workers, await asyncio.gather(*(_change(each, new) for each in workers)), strict=True))
            refused = {worker: error for worker, error in outcomes.items() if error and error.kind != IN_FORCE}
            lasting = {worker: error for worker, error in refused.items() if error.kind != GONE}
            if lasting or len(refused) == len(workers):
                await asyncio.gather(*(self._set_back(each) for each in workers if each not in refused))
                raise _saying_who(lasting or refused, len(workers))
            self.current = new
            self.generation += 1
            for worker in workers:
                worker.generation = self.generation
            problems = {worker: error for worker, error in outcomes.items() if error and error.kind == IN_FORCE}
            if problems:
                raise _saying_who(problems, len(workers))

    async def quarantine(self, wish: OperatorsWish) -> None:
        """Has a version taken out of service, or back into it, by every worker that takes calls; others do so before.

        Raises:
            Told: a worker could not. The others have done it.
        """
        async with self._changing:
            key = wish["model"], wish["version"]
            if wish["reason"] is None:
                self.quarantines.pop(key, None)
            else:
                self.quarantines[key] = wish
            workers = [each for each in self._workers() if each.listens]
            outcomes = dict(
                zip(workers, await asyncio.gather(*(_ask(each, "quarantine", [wish]) for each in workers)), strict=True)
            )
            failed = {worker: error for worker, error in outcomes.items() if error and error.kind != GONE}
            if failed:
                raise _saying_who(failed, len(workers))

    async def admit(self, worker: Worker) -> None:
        """Lets ``worker`` take calls, once it has what is in force. Raises Told: it refuses that."""
        async with self._changing:
            if worker.generation != self.generation:
                error = await _change(worker, self.current)
                if error and error.kind != IN_FORCE:
                    raise error
                worker.generation = self.generation
            if self.quarantines:
                error = await _ask(worker, "quarantine", list(self.quarantines.values()))
                if error:
                    raise error
            worker.listens = True

    async def _set_back(self, worker: Worker) -> None:
        error = await _change(worker, self.current)
        if error and error.kind not in (IN_FORCE, GONE):
            worker.kill(f"could not be set back to the configuration that is in force: {error}")


async def _change(worker: Worker, new: Configuration) -> Told | None:
    """Why it could not be changed; None where it was."""
    return await _ask(worker, "change", new)


async def _ask(worker: Worker, what: str, value: object) -> Told | None:
    """Why it could not be done; None where it was."""
    try:
        if worker.process is None:
            raise messages.gone()
        await worker.process.ask(what, value)
    except Told as error:
        return error
    except UnstuckError as error:
        return Told(error.message, code=error.code, hint=error.hint, kind=type(error).__name__)
    return None


def _saying_who(errors: dict[Worker, Told], workers: int) -> Told:
    """The first of ``errors``; where not all workers have one, with those that do."""
    first: Any = next(iter(errors.values()))
    if len(errors) == workers:
        return first
    who = " and ".join(f"worker {each.number}" for each in errors)
    return Told(
        f"{first.message} (Of {workers} workers, {who} said so.)", code=first.code, hint=first.hint, kind=first.kind
    )
