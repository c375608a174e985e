"""Memory for points that are not answered yet, in bytes, given out in the order in which it was asked for."""

import asyncio


class Room:
    """``limit_bytes`` of memory; whoever finds none waits for his turn. Belongs to one event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._waiting: dict[asyncio.Future[None], int] = {}

    def take(self, size_bytes: int) -> bool:
        """Take ``size_bytes`` and return True, or False where there is no room or others wait for it."""
        used_bytes = self.used_bytes + size_bytes
        if used_bytes > self.limit_bytes or self._waiting:
            return False
        self.used_bytes = used_bytes
        return True

    async def wait_and_take(self, size_bytes: int, timeout_s: float) -> None:
        """Take ``size_bytes`` once there is room and all who came earlier have theirs.

        Raises:
            TimeoutError: there was none within ``timeout_s`` seconds.
        """
        if self.take(size_bytes):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = size_bytes
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except BaseException:
            if self._waiting.pop(turn, None) is None and not turn.cancelled():
                self.give(size_bytes)  # the turn came in the same moment as the cancellation
            else:
                self._grant()  # this one may have been what the others waited behind
            raise

    def give(self, size_bytes: int) -> None:
        """Give back ``size_bytes`` and let the next ones in."""
        self.used_bytes -= size_bytes
        if self._waiting:
            self._grant()

    def _grant(self) -> None:
        while self._waiting:
            turn, size_bytes = next(iter(self._waiting.items()))
            if turn.done():  # cancelled, its task has not run yet
                del self._waiting[turn]
                continue
            if self.used_bytes + size_bytes > self.limit_bytes:
                return
            del self._waiting[turn]
            self.used_bytes += size_bytes
            turn.set_result(None)
