"""Compare what was acked with what is stored, value by value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import asyncpg
import numpy as np
from numpy.typing import NDArray

from faults.storm.books import check_ledger, check_refused, check_told
from faults.storm.findings import SHOWN, Findings
from faults.storm.marks import Fate
from faults.storm.points import Request, identity
from faults.storm.rules import Rules
from faults.storm.sent import Sent

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
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    torn: int = 0
    unacked_stored: int = 0

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


async def judge(
    connection: asyncpg.Connection, requests: Sequence[Request], rules: Rules, findings: Findings
) -> Verdict:
    """Return what became of every point, and note each violation."""
    sent = Sent.of(requests, rules)
    ids = await _series_ids(connection, sent, findings)
    stored = await _stored(connection)
    acked = np.array([request.acked for request in requests], dtype=bool)[sent.request]
    place = sent.find(stored["value"])
    known = (
        (sent.value[place] == stored["value"])
        & (sent.time_us[place] == stored["time"] + _EPOCH_2000_US)
        & (ids[place] == stored["series"])
        & (sent.fate[place] != Fate.REFUSED)
    )
    copies = np.bincount(place[known], minlength=len(sent.value))
    must = sent.fate == Fate.STORED
    lost = acked & must & (copies == 0)
    verdict = Verdict(
        acked=int((acked & must).sum()),
        stored=len(stored),
        refused=int((acked & (copies == 0) & ~must).sum()),
        lost=int(lost.sum()),
        doubled=int((copies > 1).sum()),
        foreign=int((~known).sum()),
        torn=_torn(requests, sent.request[must], copies[must]),
        unacked_stored=int((~acked & (copies > 0)).sum()),
    )
    for name in ("lost", "doubled", "foreign", "torn"):
        if count := getattr(verdict, name):
            findings.violate(f"no point is {name}", f"{count:,} points", count)
    for place in np.flatnonzero(lost)[:SHOWN].tolist():
        request = requests[sent.request[place]]
        findings.examples.append(
            f"  lost: {sent.value[place]} of {request.key}, {request.size} points, told {request.told}"
        )
    counts = np.bincount(sent.request, weights=copies > 0, minlength=len(requests)).astype(int).tolist()
    await check_ledger(connection, requests, counts, len(stored), findings)
    await check_refused(connection, requests, sent, copies, findings)
    check_told(requests, counts, findings)
    return verdict


def _torn(requests: Sequence[Request], owner: NDArray[np.int64], copies: NDArray[np.int64]) -> int:
    """Return the points of requests of which only a part is stored."""
    there = np.bincount(owner, weights=copies > 0, minlength=len(requests)).astype(int)
    whole = np.bincount(owner, minlength=len(requests))
    return int(there[(there > 0) & (there < whole)].sum())


async def _series_ids(connection: asyncpg.Connection, sent: Sent, findings: Findings) -> NDArray[np.int64]:
    """Return the id in the database of each point's series, 0 where it is not there."""
    numbers, index = np.unique(sent.series, return_inverse=True)
    places = {_frozen(*identity(number)): place for place, number in enumerate(numbers.tolist())}
    ids = np.zeros(len(numbers), dtype=np.int64)
    for row in await connection.fetch("SELECT id, service_name, metric_name, labels FROM analytics.series"):
        place = places.get(_frozen(row["service_name"], row["metric_name"], json.loads(row["labels"])))
        if place is None or ids[place]:
            findings.violate("each series is one that was sent, and there once", str(row))
        else:
            ids[place] = row["id"]
    return ids[index]


def _frozen(service: str, metric: str, labels: Mapping[str, str]) -> tuple[str, str, frozenset[tuple[str, str]]]:
    return service, metric, frozenset(labels.items())


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
