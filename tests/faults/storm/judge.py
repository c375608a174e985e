"""Compare what was acked with what is stored, value by value."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import numpy as np
from numpy.typing import NDArray

from faults.storm.findings import Findings
from faults.storm.points import SERIES, Request, identity

_EPOCH_2000_US = 946_684_800_000_000
_HEADER_BYTES, _TRAILER_BYTES = 19, 2
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("time_length", ">i4"), ("time", ">i8"),
        ("series_length", ">i4"), ("series", ">i8"),
        ("value_length", ">i4"), ("value", ">f8"),
    ]
)  # fmt: skip


@dataclass
class Verdict:
    """Points by what became of them."""

    acked: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    torn: int = 0
    unacked_stored: int = 0


@dataclass(frozen=True, slots=True)
class _Table:
    """Points as columns, sorted by value, which no two points share."""

    value: NDArray[np.float64]
    time_us: NDArray[np.int64]
    series: NDArray[np.int64]
    request: NDArray[np.int64]


async def judge(connection: asyncpg.Connection, requests: Sequence[Request], findings: Findings) -> Verdict:
    """Return what became of every point, and note each violation."""
    ids = await _series_ids(connection, findings)
    stored = await _stored(connection)
    sent = _sent(requests, ids)
    acked = np.array([request.acked for request in requests], dtype=bool)[sent.request]
    place = np.searchsorted(sent.value, stored["value"])
    place[place == len(sent.value)] = 0
    known = (
        (sent.value[place] == stored["value"])
        & (sent.time_us[place] == stored["time"] + _EPOCH_2000_US)
        & (sent.series[place] == stored["series"])
    )
    copies = np.bincount(place[known], minlength=len(sent.value))
    verdict = Verdict(
        acked=int(acked.sum()),
        stored=len(stored),
        lost=int((acked & (copies == 0)).sum()),
        doubled=int((copies > 1).sum()),
        foreign=int((~known).sum()),
        torn=_torn(requests, sent, copies),
        unacked_stored=int((~acked & (copies > 0)).sum()),
    )
    for name in ("lost", "doubled", "foreign", "torn"):
        if count := getattr(verdict, name):
            findings.violate(f"no point is {name}", f"{count:,} points", count)
    await _check_ledger(connection, requests, len(stored), findings)
    return verdict


def _sent(requests: Sequence[Request], ids: NDArray[np.int64]) -> _Table:
    """Return every point that may be stored."""
    masks = [request.storable() for request in requests]
    value = np.concatenate([request.values()[mask] for request, mask in zip(requests, masks, strict=True)])
    time_us = np.concatenate([request.times_us()[mask] for request, mask in zip(requests, masks, strict=True)])
    series = np.concatenate([request.series()[mask] for request, mask in zip(requests, masks, strict=True)])
    owner = np.repeat(np.arange(len(requests)), [int(mask.sum()) for mask in masks])
    order = np.argsort(value, kind="stable")
    return _Table(value[order], time_us[order], ids[series][order], owner[order])


def _torn(requests: Sequence[Request], sent: _Table, copies: NDArray[np.int64]) -> int:
    """Return the points of requests of which only a part is stored."""
    there = np.bincount(sent.request, weights=copies > 0, minlength=len(requests)).astype(int)
    whole = np.bincount(sent.request, minlength=len(requests))
    return int(there[(there > 0) & (there < whole)].sum())


async def _series_ids(connection: asyncpg.Connection, findings: Findings) -> NDArray[np.int64]:
    """Return each series' id in the database, 0 where it is not there."""
    numbers = {
        (service, metric, tuple(sorted(labels.items()))): number
        for number, (service, metric, labels) in enumerate(identity(number) for number in range(SERIES))
    }
    ids = np.zeros(SERIES, dtype=np.int64)
    rows = await connection.fetch(
        "SELECT id, service_name, metric_name, ARRAY(SELECT ARRAY[key, value] FROM jsonb_each_text(labels) ORDER BY 1)"
        " AS labels FROM analytics.series"
    )
    for row in rows:
        number = numbers.get((row["service_name"], row["metric_name"], tuple(map(tuple, row["labels"]))))
        if number is None or ids[number]:
            findings.violate("each series is one that was sent, and there once", str(row))
        else:
            ids[number] = row["id"]
    return ids


async def _stored(connection: asyncpg.Connection) -> NDArray[np.void]:
    """Return every stored row, as binary COPY gives it."""
    chunks: list[bytes] = []

    async def keep(data: bytes) -> None:
        chunks.append(data)

    await connection.copy_from_query(
        "SELECT time, series_id, value FROM analytics.samples", output=keep, format="binary", timeout=300
    )
    raw = b"".join(chunks)
    return np.frombuffer(
        raw, _ROW, offset=_HEADER_BYTES, count=(len(raw) - _HEADER_BYTES - _TRAILER_BYTES) // _ROW.itemsize
    )


async def _check_ledger(
    connection: asyncpg.Connection, requests: Sequence[Request], stored: int, findings: Findings
) -> None:
    """Compare the ledger with the requests, key by key, and with the rows."""
    rows = await connection.fetch("SELECT key, accepted, rejected FROM analytics.ledger")
    ledger = {row["key"]: (row["accepted"], row["rejected"]) for row in rows}
    total = sum(accepted for accepted, _ in ledger.values())
    if total != stored:
        findings.violate("the ledger's sum is the number of rows", f"{total:,} in the ledger, {stored:,} rows")
    by_key = {request.key: request for request in requests}
    for key, counts in ledger.items():
        request = by_key.get(key)
        if request is None or counts != (request.accepted, request.rejected):
            findings.violate("the ledger has the counts of each request", f"{key}: {counts}")
    for request in requests:
        if request.acked and request.key not in ledger:
            findings.violate("an acked request is in the ledger", f"{request.key}")
    kept = await connection.fetchval("SELECT count(*) FROM analytics.rejects")
    rejected = sum(rejected for _, rejected in ledger.values())
    findings.counts["points rejected"] = rejected
    findings.counts["rejects kept"] = kept
    if kept != rejected:  # far fewer than the hundred a second from which on they are sampled
        findings.violate("a reject is kept once", f"{kept:,} kept, {rejected:,} rejected")
