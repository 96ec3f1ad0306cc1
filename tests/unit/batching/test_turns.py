import asyncio

from unstuck.batching.turns import Turns


def answered_in(turns):
    """Answers every call at once with its item, and notes what came together."""

    def answer(key, waiting):
        turns.append((key, [item for item, _ in waiting]))
        for item, future in waiting:
            if not future.done():
                future.set_result(item)

    return Turns(answer)


def test_calls_of_one_turn_come_together_by_key():
    turns = []

    async def run():
        gathering = answered_in(turns)
        return await asyncio.gather(*(gathering.join(key, number) for number, key in enumerate("abab")))

    assert asyncio.run(run()) == [0, 1, 2, 3]
    assert turns == [("a", [0, 2]), ("b", [1, 3])]


def test_a_lone_call_waits_for_nobody():
    turns = []

    async def run():
        gathering = answered_in(turns)
        return [await gathering.join("a", number) for number in range(3)]

    assert asyncio.run(run()) == [0, 1, 2]
    assert turns == [("a", [0]), ("a", [1]), ("a", [2])]


def test_one_that_gave_up_does_not_disturb_the_others():
    async def run():
        gathering = answered_in([])
        first, gone, last = (gathering.join("a", number) for number in range(3))
        gone.cancel()
        return await first, gone.cancelled(), await last

    assert asyncio.run(run()) == (0, True, 2)
