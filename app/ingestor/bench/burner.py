"""Burn a share of one core: stands for the load client beside a measurement that has none.

``python -m ingestor.bench.burner SHARE`` runs until its standard input ends.
"""

import sys
import threading
import time

_PERIOD_S = 0.01


def burn(share: float, stop: threading.Event) -> None:
    """Work for ``share`` of each period, wait for the rest."""
    while not stop.is_set():
        until = time.perf_counter() + share * _PERIOD_S
        while time.perf_counter() < until:
            pass
        stop.wait((1 - share) * _PERIOD_S)


def main() -> None:
    """Burn until standard input ends."""
    stop = threading.Event()
    thread = threading.Thread(target=burn, args=(min(1.0, float(sys.argv[1])), stop))
    thread.start()
    sys.stdin.read()
    stop.set()
    thread.join()


if __name__ == "__main__":
    main()
