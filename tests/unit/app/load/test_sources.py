"""This machine's metrics have the names, labels and times that were promised."""

import time
from collections.abc import Iterator

from analytics.v1 import ingestor_pb2 as pb
from ingestor.client.encode import Batch
from ingestor.load.sources import MachineSource


def read(batch: Batch) -> Iterator[tuple[str, dict[str, str], float]]:
    for message, value in zip(batch.block.messages, batch.values.tolist(), strict=True):
        series = pb.Series.FromString(message)
        assert series.service_name == "this-host"
        yield series.metric_name, {label.name: label.value for label in series.labels}, value


def test_a_sample_has_memory_and_network() -> None:
    measured = list(read(MachineSource("this-host").sample()))
    memory = {labels["state"]: value for name, labels, value in measured if name == "system.memory.usage"}
    assert {"used", "free"} <= set(memory)
    assert all(value >= 0 for value in memory.values())
    directions = {labels["direction"] for name, labels, _ in measured if name == "system.network.io"}
    assert directions == {"transmit", "receive"}
    assert all(set(labels) == {"device", "direction"} for name, labels, _ in measured if name == "system.disk.io")


def test_cpu_utilisation_is_a_share_and_comes_with_the_second_sample() -> None:
    source = MachineSource("this-host")
    first, second = list(read(source.sample())), list(read(source.sample()))
    assert not any(name == "system.cpu.utilization" for name, _, _ in first)
    shares = [(labels, value) for name, labels, value in second if name == "system.cpu.utilization"]
    assert shares
    assert all(set(labels) == {"cpu", "state"} and 0 <= value <= 1 for labels, value in shares)


def test_no_series_appears_twice_in_a_sample() -> None:
    source = MachineSource("this-host")
    source.sample()
    batch = source.sample()
    assert len(set(batch.block.messages)) == len(batch)


def test_points_carry_the_moment_of_the_reading() -> None:
    before_ns = time.time_ns()
    times = set(MachineSource("this-host").sample().times_ns.tolist())
    assert len(times) == 1
    assert before_ns <= times.pop() <= time.time_ns()
