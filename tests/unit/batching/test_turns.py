import asyncio

from unstuck.batching.turns import Turns


def test_calls_of_one_turn_come_together_by_key():
    turns = []

    async def run():
        gathering = Turns(lambda key, items: turns.append((key, items)))
        for number, key in enumerate("abab"):
            gathering.join(key, number)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert turns == [("a", [0, 2]), ("b", [1, 3])]


def test_a_lone_call_waits_for_nobody():
    turns = []

    async def run():
        gathering = Turns(lambda key, items: turns.append((key, items)))
        for number in range(3):
            gathering.join("a", number)
            await asyncio.sleep(0)

    asyncio.run(run())
    assert turns == [("a", [0]), ("a", [1]), ("a", [2])]
