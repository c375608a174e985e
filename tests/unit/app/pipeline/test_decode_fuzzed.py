"""Whatever bytes come, a decoder returns points or refuses the request; nothing else."""

import math
import random
import time
from collections.abc import Callable

import pytest

from analytics.v1 import ingestor_pb2 as pb
from ingestor.errors import InvalidRequestError
from support.decoding import NOW_NS, new_decoder

MESSAGES = 100_000


@pytest.mark.slow
def test_fuzzed_messages_are_decoded_or_refused_and_nothing_else() -> None:
    chance = random.Random(1)
    decoder = new_decoder(cache_bytes=1 << 20)
    seeds = {decoder.decode_write: _writes(), decoder.decode_log_metric: _single_points()}
    accepted = refused = 0
    started = time.perf_counter()
    for turn in range(MESSAGES):
        decode = decoder.decode_log_metric if turn % 4 == 0 else decoder.decode_write
        message = _mutate(chance, seeds[decode])
        try:
            decoded = decode(message)
        except InvalidRequestError:
            refused += 1
        else:
            assert len(decoded.points.slots) == len(decoded.points.times_us) == len(decoded.points.values), message
            assert all(0 <= slot < len(decoded.points.table) for slot in decoded.points.slots), message
            accepted += 1
    elapsed_s = time.perf_counter() - started
    print(f"{accepted} accepted, {refused} refused in {elapsed_s:.1f} s")  # noqa: T201 - shown by pytest -s
    assert accepted > 0
    assert refused > 0


def _mutate(chance: random.Random, seeds: list[bytes]) -> bytes:
    way: Callable[[random.Random, list[bytes]], bytes] = chance.choice(
        [_flip_bits, _flip_bits, _change_bytes, _truncate, _splice, _repeat, _make_up]
    )
    return way(chance, seeds)


def _flip_bits(chance: random.Random, seeds: list[bytes]) -> bytes:
    message = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        message[chance.randrange(len(message))] ^= 1 << chance.randrange(8)
    return bytes(message)


def _change_bytes(chance: random.Random, seeds: list[bytes]) -> bytes:
    message = bytearray(chance.choice(seeds))
    start = chance.randrange(len(message))
    message[start : start + chance.randint(0, 9)] = chance.randbytes(chance.randint(0, 9))
    return bytes(message)


def _truncate(chance: random.Random, seeds: list[bytes]) -> bytes:
    message = chance.choice(seeds)
    return message[: chance.randrange(len(message))]


def _splice(chance: random.Random, seeds: list[bytes]) -> bytes:
    one, other = chance.choice(seeds), chance.choice(seeds)
    return one[: chance.randrange(len(one))] + other[chance.randrange(len(other)) :]


def _repeat(chance: random.Random, seeds: list[bytes]) -> bytes:
    message = chance.choice(seeds)
    start = chance.randrange(len(message))
    return message + message[start : start + chance.randint(1, 40)] * chance.randint(1, 5)


def _make_up(chance: random.Random, seeds: list[bytes]) -> bytes:
    return chance.randbytes(chance.randint(0, 64))


def _labels(count: int) -> list[pb.Label]:
    return [pb.Label(name=f"label-{n}", value="é" * n) for n in range(count)]


def _writes() -> list[bytes]:
    rows = [
        pb.Point(service_name="s", metric_name="m", time_unix_nano=NOW_NS, double_value=1.0),
        pb.Point(service_name="s", metric_name="m", labels=_labels(3), time_unix_nano=NOW_NS, int_value=-1),
        pb.Point(service_name="s", metric_name="m", double_value=math.nan),
        pb.Point(service_name="s", metric_name="!abcdefgh)ijklmnop"),
    ]
    series = [pb.Series(service_name="s", metric_name=f"m{n}", labels=_labels(n)) for n in range(3)]
    columns = pb.Columns(
        series=series, series_index=[0, 1, 2, 1], time_unix_nano=[NOW_NS, 0, NOW_NS, 1], value=[1, 2, 3, 4]
    )
    requests = [
        pb.WriteRequest(points=rows),
        pb.WriteRequest(columns=[columns]),
        pb.WriteRequest(idempotency_key=bytes(16), ack=pb.ACK_COMMITTED, points=rows[:2], columns=[columns, columns]),
    ]
    return [request.SerializeToString() for request in requests]


def _single_points() -> list[bytes]:
    request = pb.LogMetricsRequest(service_name="s", metric_name="m", value=-5, labels=_labels(2))
    request.timestamp.FromNanoseconds(NOW_NS)
    with_double = pb.LogMetricsRequest(service_name="service", metric_name="metric", double_value=0.5)
    return [request.SerializeToString(), with_double.SerializeToString()]
