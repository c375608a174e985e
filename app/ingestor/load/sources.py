"""This machine's CPU, memory, disk and network as points, read with psutil.

Names and attributes follow the OpenTelemetry system semantic conventions in the short form that the Collector's
hostmetrics receiver writes (``state``, ``device``, ``direction``). Counters are cumulative, as the kernel keeps them.

Source: https://opentelemetry.io/docs/specs/semconv/system/system-metrics/
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil

from ingestor.client.encode import Batch, SeriesBlock, encode_series
from ingestor.points import Series

Measurement = tuple[str, dict[str, str], float]
"""Metric name, labels, value."""

_MEMORY_STATES = {"used": "used", "free": "free", "buffers": "buffered", "cached": "cached"}


class MachineSource:
    """Reads this machine; ``sample`` may block for some milliseconds and belongs in a thread.

    CPU utilisation is the share since the sample before, so the first sample has none.
    """

    def __init__(self, service_name: str, unix_ns: Callable[[], int] = time.time_ns) -> None:
        self._service_name = service_name
        self._unix_ns = unix_ns
        self._messages: dict[Series, bytes] = {}
        self._cpu_known = False

    def sample(self) -> Batch:
        """Read everything once; all points carry the moment of the reading."""
        now_ns = self._unix_ns()
        measured = [*self._cpu(), *_memory(), *_disks(), *_filesystems(), *_network(), *_host(now_ns / 1e9)]
        return Batch(
            block=SeriesBlock([self._message(name, labels) for name, labels, _ in measured]),
            series_index=np.arange(len(measured), dtype=np.uint32),
            times_ns=np.full(len(measured), now_ns, np.int64),
            values=np.array([value for _, _, value in measured], np.float64),
        )

    def _message(self, name: str, labels: dict[str, str]) -> bytes:
        series = Series(self._service_name, name, tuple(sorted(labels.items())))
        message = self._messages.get(series)
        if message is None:
            message = self._messages[series] = encode_series(series)
        return message

    def _cpu(self) -> Iterator[Measurement]:
        shares = psutil.cpu_times_percent(percpu=True)
        known, self._cpu_known = self._cpu_known, True
        if not known:
            return
        for number, percents in enumerate(shares):
            for state, percent in percents._asdict().items():
                if not state.startswith("guest"):  # contained in user and nice
                    yield "system.cpu.utilization", {"cpu": f"cpu{number}", "state": state}, percent / 100


def _memory() -> Iterator[Measurement]:
    memory = psutil.virtual_memory()
    fields: dict[str, Any] = memory._asdict()
    for field, state in _MEMORY_STATES.items():
        if field in fields:
            yield "system.memory.usage", {"state": state}, float(fields[field])
            yield "system.memory.utilization", {"state": state}, fields[field] / memory.total
    swap = psutil.swap_memory()
    yield "system.paging.usage", {"state": "used"}, float(swap.used)
    yield "system.paging.usage", {"state": "free"}, float(swap.free)


def _disks() -> Iterator[Measurement]:
    for device, counters in (psutil.disk_io_counters(perdisk=True) or {}).items():
        if not counters.read_count and not counters.write_count:
            continue  # loop and RAM devices that nothing uses
        for direction in ("read", "write"):
            labels = {"device": device, "direction": direction}
            yield "system.disk.io", labels, float(getattr(counters, f"{direction}_bytes"))
            yield "system.disk.operations", labels, float(getattr(counters, f"{direction}_count"))
            yield "system.disk.operation_time", labels, getattr(counters, f"{direction}_time") / 1000


def _filesystems() -> Iterator[Measurement]:
    for partition in psutil.disk_partitions(all=False):
        try:
            usage = psutil.disk_usage(partition.mountpoint)
        except OSError:
            continue  # not ours to read, or gone since it was listed
        labels = {"device": partition.device, "mountpoint": partition.mountpoint, "type": partition.fstype}
        yield "system.filesystem.usage", labels | {"state": "used"}, float(usage.used)
        yield "system.filesystem.usage", labels | {"state": "free"}, float(usage.free)


def _network() -> Iterator[Measurement]:
    for device, counters in psutil.net_io_counters(pernic=True).items():
        for direction, suffix, short in (("transmit", "sent", "out"), ("receive", "recv", "in")):
            labels = {"device": device, "direction": direction}
            yield "system.network.io", labels, float(getattr(counters, f"bytes_{suffix}"))
            yield "system.network.packets", labels, float(getattr(counters, f"packets_{suffix}"))
            yield "system.network.errors", labels, float(getattr(counters, f"err{short}"))
            yield "system.network.dropped", labels, float(getattr(counters, f"drop{short}"))


def _host(now_s: float) -> Iterator[Measurement]:
    one, five, fifteen = psutil.getloadavg()
    yield "system.cpu.load_average.1m", {}, one
    yield "system.cpu.load_average.5m", {}, five
    yield "system.cpu.load_average.15m", {}, fifteen
    yield "system.cpu.logical.count", {}, float(psutil.cpu_count() or 0)
    yield "system.uptime", {}, max(0.0, now_s - psutil.boot_time())
