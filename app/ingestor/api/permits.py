"""Who may receive a message now: a bounded number of calls, shared so that slow ones keep nobody out.

Knows no gRPC. Ages are counted in sweeps, of which the event loop's own delays allow fewer, so that a busy server takes
no message for a slow one.
"""

import asyncio
import itertools
from collections.abc import Iterator

from ingestor.errors import TransientError

SWEEP_S = 0.02
GRACE_S = 0.1
"""A message that takes longer is given up where others wait."""
WAIT_S = 5.0
"""Longest wait for a permit, with the message unread."""
DISTRUST_S = 10.0
"""How long a connection that was too slow is not let wait: where there is no room it is refused at once."""
MAX_WAITING = 1_024
MAX_PEERS = 4_096
"""Most calls that wait, of trusted and of other connections; most connections that are remembered as quick, or slow."""

_GOOD, _UNKNOWN = 0, 1


class Claim:
    """One call's claim to a permit, from its start until its message is there."""

    __slots__ = ("ended", "peer", "room", "since")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.since = 0
        self.ended: TransientError | None = None
        self.room: asyncio.Future[None] | None = None


class _Queue:
    """Claims that wait, by connection: the connections take turns, however many claims each has."""

    def __init__(self) -> None:
        self._peers: dict[str, dict[Claim, None]] = {}
        self.size = 0

    def __iter__(self) -> Iterator[Claim]:
        return itertools.chain.from_iterable(self._peers.values())

    def add(self, claim: Claim) -> None:
        self._peers.setdefault(claim.peer, {})[claim] = None
        self.size += 1

    def remove(self, claim: Claim) -> None:
        claims = self._peers.get(claim.peer, {})
        if claim in claims:
            del claims[claim]
            self.size -= 1
            if not claims:
                del self._peers[claim.peer]

    def pop(self) -> Claim:
        """Take the first claim of the connection whose turn it is; there is one."""
        peer, claims = next(iter(self._peers.items()))
        claim = next(iter(claims))
        self.remove(claim)
        if claims:
            self._peers[peer] = self._peers.pop(peer)
        return claim


class Permits:
    """Gives permits out. A third of them is for connections whose last message came quickly.

    So calls that trickle or never send hold no more than the others, lose those to whoever waits, and then their
    connections wait for nobody.
    """

    def __init__(self, limit: int, timeout_s: float) -> None:
        self.limit = limit
        self._shares = (limit, max(1, limit - limit // 3))
        self._timeout_s = timeout_s
        self._sweep = 0
        self._taken: dict[Claim, None] = {}
        self._queues = (_Queue(), _Queue())
        self._quick: dict[str, None] = {}
        self._slow: dict[str, int] = {}
        self.wanted = asyncio.Event()

    @property
    def taken(self) -> int:
        """Return how many permits are given out."""
        return len(self._taken)

    @property
    def waiting(self) -> int:
        """Return how many claims wait."""
        return self._queues[_GOOD].size + self._queues[_UNKNOWN].size

    async def take(self, claim: Claim) -> None:
        """Take a permit as soon as there is one; ``leave`` must follow.

        Raises:
            TransientError: there is none, or none in time.
        """
        self.wanted.set()
        if self._has_room(claim.peer):
            self._give(claim)
            return
        queue = self._queues[_GOOD if claim.peer in self._quick else _UNKNOWN]
        if self._is_slow(claim.peer) or queue.size >= MAX_WAITING:
            raise _no_room()
        claim.since = self._sweep
        claim.room = asyncio.get_running_loop().create_future()
        queue.add(claim)
        try:
            await claim.room
        except asyncio.CancelledError:
            queue.remove(claim)
            self.leave(claim)
            raise

    def leave(self, claim: Claim) -> None:
        """Give a permit back, if the claim still has one."""
        if claim in self._taken:
            del self._taken[claim]
            self._admit()

    def praise(self, claim: Claim) -> None:
        """Note that a message came in time."""
        if claim.peer not in self._quick:
            self._slow.pop(claim.peer, None)
            self._quick[claim.peer] = None
            _forget_oldest(self._quick)

    def sweep(self) -> list[Claim]:
        """Count the time; return the claims that have lost their permits, each with the error that says why."""
        self._sweep += 1
        self._end_long_waits()
        ended = [self._end(claim, "receive_timeout") for claim in self._older_than(self._timeout_s)]
        if self.waiting:
            late = self._older_than(GRACE_S)[: self.waiting]
            ended += [self._end(claim, "receive_too_slow") for claim in late]
        self._admit()
        if not self._taken and not self.waiting:
            self.wanted.clear()
        return ended

    def _has_room(self, peer: str) -> bool:
        taken = len(self._taken)
        if taken < self.limit // 3:
            return True
        if peer in self._quick:
            return taken < self.limit and not self._queues[_GOOD].size
        return taken < self._shares[_UNKNOWN] and not self.waiting and not self._is_slow(peer)

    def _is_slow(self, peer: str) -> bool:
        since = self._slow.get(peer)
        return since is not None and (self._sweep - since) * SWEEP_S < DISTRUST_S

    def _give(self, claim: Claim) -> None:
        claim.since = self._sweep
        self._taken[claim] = None

    def _admit(self) -> None:
        """Let those that wait begin while there is room for them, trusted connections first."""
        for queue, share in zip(self._queues, self._shares, strict=True):
            while queue.size and len(self._taken) < share:
                claim = queue.pop()
                if claim.room is None or claim.room.done():
                    continue
                if self._is_slow(claim.peer):
                    claim.room.set_exception(_no_room())
                    continue
                self._give(claim)
                claim.room.set_result(None)

    def _older_than(self, seconds: float) -> list[Claim]:
        latest = self._sweep - seconds / SWEEP_S
        return [claim for claim in self._taken if claim.since <= latest]

    def _end(self, claim: Claim, reason: str) -> Claim:
        claim.ended = TransientError("the message came too slowly", reason=reason)
        del self._taken[claim]
        self._quick.pop(claim.peer, None)
        self._slow.pop(claim.peer, None)
        self._slow[claim.peer] = self._sweep
        _forget_oldest(self._slow)
        return claim

    def _end_long_waits(self) -> None:
        latest = self._sweep - WAIT_S / SWEEP_S
        for queue in self._queues:
            for claim in [claim for claim in queue if claim.since <= latest]:
                queue.remove(claim)
                if claim.room is not None and not claim.room.done():
                    claim.room.set_exception(_no_room())


def _no_room() -> TransientError:
    return TransientError("too many messages are being received", reason="too_much_in_flight")


def _forget_oldest(peers: dict[str, None] | dict[str, int]) -> None:
    if len(peers) > MAX_PEERS:
        del peers[next(iter(peers))]
