"""An event loop whose waits take no time: where nothing is ready, its clock jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

LONGEST_RUN_S = 86_400.0
"""Virtual time after which a test is taken to hang."""


class _JumpingSelector(selectors.SelectSelector):
    """Looks at the sockets without waiting and adds what would have been waited to ``now_s``."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None or self.now_s > LONGEST_RUN_S:
                raise RuntimeError("nothing will ever happen in this loop")
            self.now_s += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop for code without I/O; ``time`` starts at 0 and moves only when all tasks wait."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run_virtually(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run ``coroutine`` to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


def virtual_clock() -> float:
    """Return the running loop's time, in seconds."""
    return asyncio.get_running_loop().time()
