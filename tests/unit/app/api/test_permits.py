"""Who may receive a message, and who loses a permit to whom; in virtual time."""

import asyncio

import pytest

from ingestor.api.permits import DISTRUST_S, GRACE_S, MAX_WAITING, SWEEP_S, WAIT_S, Claim, Permits
from ingestor.errors import TransientError
from support.virtual_time import run_virtually

LIMIT = 6
TIMEOUT_S = 2.0


async def _take(permits: Permits, peer: str) -> Claim:
    claim = Claim(peer)
    await permits.take(claim)
    return claim


def _sweep(permits: Permits, seconds: float) -> list[str]:
    """Let so much time pass and return why claims lost their permits."""
    ended = [claim for _ in range(round(seconds / SWEEP_S)) for claim in permits.sweep()]
    return [str(claim.ended.reason) for claim in ended if claim.ended]


async def _praised(permits: Permits, *peers: str) -> None:
    for peer in peers:
        claim = await _take(permits, peer)
        permits.leave(claim)
        permits.praise(claim)


def test_no_more_than_the_limit_is_received_and_the_first_that_waits_is_next() -> None:
    async def body() -> None:
        permits = Permits(LIMIT, TIMEOUT_S)
        await _praised(permits, "good")
        held = [await _take(permits, "good") for _ in range(LIMIT)]
        waiting = [asyncio.create_task(_take(permits, "good")) for _ in range(2)]
        await asyncio.sleep(0)
        assert (permits.taken, permits.waiting) == (LIMIT, 2)
        permits.leave(held[0])
        permits.leave(held[0])
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, False]
        assert permits.taken == LIMIT
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for claim in (*held[1:], waiting[0].result()):
            permits.leave(claim)
        assert (permits.taken, permits.waiting) == (0, 0)

    run_virtually(body())


def test_a_third_of_the_permits_is_kept_for_connections_that_were_quick() -> None:
    async def body() -> None:
        permits = Permits(LIMIT, TIMEOUT_S)
        await _praised(permits, "good")
        for number in range(4):
            await _take(permits, f"new {number}")
        late = asyncio.create_task(_take(permits, "new"))
        await asyncio.sleep(0)
        assert not late.done()
        await _take(permits, "good")
        assert (permits.taken, permits.waiting) == (5, 1)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)

    run_virtually(body())


def test_a_slow_message_stays_while_nobody_waits_and_goes_when_its_time_is_over() -> None:
    async def body() -> None:
        permits = Permits(LIMIT, TIMEOUT_S)
        await _take(permits, "slow")
        assert _sweep(permits, TIMEOUT_S - SWEEP_S) == []
        assert _sweep(permits, 2 * SWEEP_S) == ["receive_timeout"]
        assert permits.taken == 0
        assert not permits.wanted.is_set()

    run_virtually(body())


def test_slow_messages_make_room_for_calls_that_wait_and_their_connections_then_wait_for_nobody() -> None:
    async def body() -> None:
        permits = Permits(LIMIT, TIMEOUT_S)
        slow = [await _take(permits, f"slow {number}") for number in range(4)]
        waiting = asyncio.create_task(_take(permits, "new"))
        await asyncio.sleep(0)
        assert _sweep(permits, GRACE_S - SWEEP_S) == []
        assert _sweep(permits, 2 * SWEEP_S) == ["receive_too_slow"]
        await asyncio.sleep(0)
        assert waiting.done()
        with pytest.raises(TransientError) as refused:
            await _take(permits, slow[0].peer)
        assert refused.value.reason == "too_much_in_flight"
        assert permits.waiting == 0
        _sweep(permits, DISTRUST_S)
        assert (await _take(permits, slow[0].peer)).room is None

    run_virtually(body())


def test_a_connection_that_was_slow_may_try_again_where_there_is_room() -> None:
    async def body() -> None:
        permits = Permits(LIMIT, TIMEOUT_S)
        await _take(permits, "slow")
        _sweep(permits, TIMEOUT_S + SWEEP_S)
        claim = await _take(permits, "slow")
        permits.leave(claim)
        permits.praise(claim)
        assert permits.taken == 0

    run_virtually(body())


def test_waits_are_bounded_in_number_and_in_time() -> None:
    async def body() -> None:
        permits = Permits(1, timeout_s=60.0)
        await _take(permits, "first")
        waiting = [asyncio.create_task(_take(permits, f"new {number}")) for number in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(TransientError, match="too many"):
            await _take(permits, "one more")
        _sweep(permits, SWEEP_S)
        _sweep(permits, WAIT_S)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        reasons = [getattr(outcome, "reason", None) for outcome in outcomes]
        assert reasons.count("too_much_in_flight") > MAX_WAITING / 2
        assert permits.waiting == 0

    run_virtually(body())


def test_one_permit_serves_everybody_in_turn() -> None:
    async def body() -> None:
        permits = Permits(1, TIMEOUT_S)
        served = []

        async def call(number: int) -> None:
            claim = await _take(permits, f"peer {number % 3}")
            await asyncio.sleep(0.001)
            permits.leave(claim)
            permits.praise(claim)
            served.append(number)

        await asyncio.gather(*(call(number) for number in range(30)))
        assert sorted(served) == list(range(30))
        assert (permits.taken, permits.waiting) == (0, 0)

    run_virtually(body())


def test_connections_take_turns_however_many_calls_each_has_and_one_that_was_slow_loses_all_of_its() -> None:
    async def body() -> None:
        permits = Permits(LIMIT, TIMEOUT_S)
        greedy = [asyncio.create_task(_take(permits, "greedy")) for _ in range(50)]
        await asyncio.sleep(0)
        new = asyncio.create_task(_take(permits, "new"))
        await asyncio.sleep(0)
        assert permits.waiting == 47
        _sweep(permits, GRACE_S + SWEEP_S)
        await asyncio.sleep(0)
        assert new.done()
        assert permits.waiting == 0
        refused = [task for task in greedy if task.done() and isinstance(task.exception(), TransientError)]
        assert len(refused) == 46
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)

    run_virtually(body())


def test_a_call_that_is_given_up_waits_no_more() -> None:
    async def body() -> None:
        permits = Permits(1, TIMEOUT_S)
        await _take(permits, "first")
        waiting = [asyncio.create_task(_take(permits, "new")) for _ in range(10)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert permits.waiting == 0

    run_virtually(body())
