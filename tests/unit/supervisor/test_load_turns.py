import asyncio
import threading
import time

import pytest

from unstuck.supervisor.turns import LoadTurn, Turns


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_turns_are_given_in_the_order_of_asking():
    async def scenario() -> list[int]:
        turns, order = Turns(), []

        async def load(who: int) -> None:
            await turns.take(who)
            order.append(who)

        tasks = [asyncio.create_task(load(who)) for who in (1, 2, 3)]
        await settle()
        assert order == [1]
        turns.give_back(1)
        await settle()
        assert order == [1, 2]
        turns.give_back(2)
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(scenario()) == [1, 2, 3]


def test_who_dies_gives_its_turn_back_and_waits_no_more():
    async def scenario() -> None:
        turns = Turns()
        await turns.take(1)
        waiting, last = asyncio.create_task(turns.take(2)), asyncio.create_task(turns.take(3))
        await settle()
        turns.give_back(2)
        assert turns.holder == 1
        turns.give_back(1)
        await last
        assert turns.holder == 3
        assert waiting.cancelled()

    asyncio.run(scenario())


def test_giving_back_what_one_does_not_have_takes_it_from_nobody():
    async def scenario() -> None:
        turns = Turns()
        await turns.take(1)
        turns.give_back(2)
        assert turns.holder == 1

    asyncio.run(scenario())


def test_the_threads_of_one_worker_share_its_turn():
    said: list[str] = []
    turn = LoadTurn(lambda: said.append("take"), lambda: said.append("give back"))
    with turn():
        with turn():
            pass
        assert said == ["take"]
    assert said == ["take", "give back"]


def test_a_second_thread_waits_for_the_turn_that_the_first_asked_for():
    granted = threading.Event()
    loading: list[int] = []
    turn = LoadTurn(granted.wait, lambda: None)

    def load(number: int) -> None:
        with turn():
            loading.append(number)

    threads = [threading.Thread(target=load, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    assert loading == []
    granted.set()
    for thread in threads:
        thread.join(10)
    assert sorted(loading) == [0, 1]


def test_a_turn_that_is_not_granted_is_not_held():
    def refuse() -> None:
        raise RuntimeError("gone")

    given_back: list[str] = []
    turn = LoadTurn(refuse, lambda: given_back.append("given back"))
    with pytest.raises(RuntimeError, match="gone"):
        turn.enter()
    assert not given_back
