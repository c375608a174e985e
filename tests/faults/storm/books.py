"""Compare what the database keeps of requests and refused points with what was sent, and what callers were told."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from faults.storm.findings import Findings
from faults.storm.points import Request, identity
from faults.storm.sent import Sent

_REFERENCE = re.compile(r"&#(\d+);")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def check_ledger(
    connection: asyncpg.Connection, requests: Sequence[Request], stored: Sequence[int], rows: int, findings: Findings
) -> None:
    """Compare the ledger with the requests, key by key, and with the rows; ``stored`` are points of each request."""
    ledger = {
        row["key"]: (row["accepted"], row["rejected"])
        for row in await connection.fetch("SELECT key, accepted, rejected FROM analytics.ledger")
    }
    total = sum(accepted for accepted, _ in ledger.values())
    if total != rows:
        findings.violate("the ledger's sum is the number of rows", f"{total:,} in the ledger, {rows:,} rows")
    findings.counts["points rejected"] += sum(rejected for _, rejected in ledger.values())
    by_key = {request.key: (request, count) for request, count in zip(requests, stored, strict=True)}
    for key, counts in ledger.items():
        request, count = by_key.get(key, (None, 0))
        if request is None or counts != (count, request.size - count):
            findings.violate("the ledger has the counts of each request", f"{key}: {counts}, {count} stored")
    for request in requests:
        if request.acked and request.key not in ledger:
            findings.violate("an acked request is in the ledger", f"{request.key}")


def check_told(requests: Sequence[Request], stored: Sequence[int], findings: Findings) -> None:
    """Compare what callers were told once the database had decided with what is stored."""
    for request, count in zip(requests, stored, strict=True):
        if request.told is not None and request.told != (count, request.size - count):
            kind = f"{request.form.value} of {request.size} points, {request.key}"
            findings.violate("callers are told what became of each point", f"{kind}: {request.told}, {count} stored")


async def check_refused(
    connection: asyncpg.Connection,
    requests: Sequence[Request],
    sent: Sent,
    copies: NDArray[np.int64],
    findings: Findings,
) -> None:
    """Compare ``rejects`` with what was sent: as it was, once, and all that nobody was told."""
    kept = np.zeros(len(sent.value), dtype=np.int64)
    invalid = 0
    rows = await connection.fetch("SELECT reason, message, point FROM analytics.rejects")
    findings.counts["rejects kept"] += len(rows)
    for row in rows:
        # A database whose encoding lacks a character has it as a character reference.
        point = json.loads(_REFERENCE.sub(lambda found: chr(int(found[1])), row["point"]))
        if "time" not in point:  # validation refused it
            invalid += 1
        elif (place := _place(sent, point)) is None:
            findings.violate("a reject is kept as it was sent", f"{row['reason']}: {row['point']}")
        else:
            kept[place] += 1
    twice, also = int((kept > 1).sum()), int(((kept > 0) & (copies > 0)).sum())
    if twice or also:
        findings.violate("a reject is kept once, and not stored", f"{twice} kept twice, {also} stored", twice + also)
    _check_untold(requests, sent, (copies == 0) & (kept == 0), findings)
    late = sum(len(request.late) for request in requests if request.acked)
    if invalid != late:
        findings.violate("what validation refuses is kept", f"{invalid:,} kept, {late:,} refused")


def _check_untold(requests: Sequence[Request], sent: Sent, gone: NDArray[np.bool_], findings: Findings) -> None:
    """Look at points that are neither stored nor kept: their caller has to know; without marks every one is kept."""
    told = any(request.marks for request in requests)
    for place in np.flatnonzero(gone).tolist():
        request = requests[sent.request[place]]
        if request.acked and (request.buffered or (not told and sent.value[place] < 0)):
            findings.violate("a refused point is told or kept", f"{sent.value[place]} of {request.key}")


def _place(sent: Sent, point: Mapping[str, Any]) -> int | None:
    """Return the place of a kept point, None where no such point was sent."""
    place = int(sent.find(np.array([float(point["value"])]))[0])
    service, metric, labels = identity(int(sent.series[place]))
    same = point == {
        "service_name": service,
        "metric_name": metric,
        "labels": labels,
        "time": (_EPOCH + timedelta(microseconds=int(sent.time_us[place]))).isoformat(),
        "value": str(sent.value[place]),
    }
    return place if same else None
