"""Requests that wait for something that the others need not wait for, in groups by what they wait for.

One of a group is tried at a time, alone and with growing pauses; once it is through, the others go back to the queue.
None of them holds a connection while it waits.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from ingestor.pipeline.held import Held

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
"""Between tries of what waits for others: the end of their wait should be noticed soon."""
LONGEST_OWN_PAUSE_S = 5.0
"""Between tries of a request that fails for a reason of its own."""
_HURRIED_PAUSE_S = 0.1


@dataclass(slots=True)
class _Group:
    due_at: float
    longest_pause_s: float
    pause_s: float = FIRST_PAUSE_S
    members: dict[int, Held] = field(default_factory=dict)


class DeferredRequests:
    """Deferred requests by what they wait for; ``size_bytes`` is the memory of all that wait here."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: dict[Hashable, _Group] = {}
        self._key_of: dict[int, Hashable] = {}
        self._tried: Held | None = None
        self._tried_key: Hashable = None
        self._hurried = False
        self.size_bytes = 0

    def __iter__(self) -> Iterator[Held]:
        return (held for group in self._groups.values() for held in group.members.values())

    def __contains__(self, waits_for: Hashable) -> bool:
        return waits_for in self._groups

    def add(self, held: Held, waits_for: Hashable | None) -> None:
        """Let a request wait; for nothing but a turn of its own if ``waits_for`` is None."""
        key = ("request", id(held)) if waits_for is None else waits_for
        group = self._groups.get(key)
        if group is None:
            longest_s = LONGEST_OWN_PAUSE_S if waits_for is None else LONGEST_PAUSE_S
            group = self._groups[key] = _Group(self._clock() + FIRST_PAUSE_S, longest_s)
        if self._tried is held and self._tried_key == key:  # in vain
            longest_s = _HURRIED_PAUSE_S if self._hurried else group.longest_pause_s
            group.pause_s = min(longest_s, group.pause_s * 2)
            group.due_at = self._clock() + group.pause_s
        group.members[id(held)] = held
        self._key_of[id(held)] = key
        self.size_bytes += held.size_bytes

    def remove(self, held: Held) -> bool:
        """Let a request go; return False if it does not wait here."""
        key = self._key_of.pop(id(held), None)
        if key is None:
            return False
        group = self._groups[key]
        del group.members[id(held)]
        self.size_bytes -= held.size_bytes
        if not group.members and key != self._tried_key:
            del self._groups[key]
        return True

    def due_at(self) -> float:
        """Return when the next request is to be tried, infinity if none is; only one is tried at a time."""
        if self._tried is not None:
            return float("inf")
        return min((group.due_at for group in self._groups.values()), default=float("inf"))

    def next(self) -> Held:
        """Return the request that is to be tried next; it waits here until ``remove``, ``end_try`` follows."""
        self._tried_key, group = min(self._groups.items(), key=lambda item: item[1].due_at)
        self._tried = next(iter(group.members.values()))
        return self._tried

    def end_try(self, held: Held) -> list[Held]:
        """Note that the try of ``held`` is over; return those that need not wait any more, to be removed."""
        if held is not self._tried:
            return []
        key, self._tried, self._tried_key = self._tried_key, None, None
        group = self._groups[key]
        if id(held) in group.members:  # in vain
            return []
        if not group.members:
            del self._groups[key]
        return list(group.members.values())

    def hurry(self) -> None:
        """Try again with short pauses from now on, for the server stops."""
        self._hurried = True
        for group in self._groups.values():
            group.due_at = min(group.due_at, self._clock() + _HURRIED_PAUSE_S)
