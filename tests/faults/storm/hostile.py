"""Clients whose requests hold points that rules of the database refuse, or that go where a chunk is locked."""

import asyncio
import random
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import grpc

from analytics.v1 import ingestor_pb2 as pb
from faults.storm.clients import StormClient
from faults.storm.findings import Findings
from faults.storm.marks import Mark
from faults.storm.plan import Plan
from faults.storm.points import CLIENT_SHIFT, DAY_US, SERIES, Form, Request
from faults.storm.progress import Progress
from faults.storm.servers import Server
from support.service import error_reason

LATE_DAYS = 20
"""Age of the points that go into the chunk that is locked; nobody else's go there."""
IN_FLIGHT = 12
_INTERVAL_S = 0.4
_AGAIN_SHARE = 0.2
_AT_ONCE = (Mark.CHECKED, Mark.RAISED)


class Trouble(Enum):
    """What is wrong with a request, with its weight."""

    FEW = 30  # some bad points among good ones
    MANY = 3  # hundreds of them, too many to be kept each
    ALL = 20  # no good one
    SERIES = 15  # new series that are refused
    UNKEPT = 10  # points that rejects may refuse as well
    BUFFERED = 12  # a few bad ones, answered before anybody can tell
    LATE = 16  # good points into a chunk that may be locked


_SIZES = {Trouble.FEW: (50, 300), Trouble.MANY: (1_000, 2_000), Trouble.ALL: (1, 20)}
_MANY = 100
_BAD = {Trouble.FEW: (1, 5), Trouble.MANY: (_MANY, 900)}


class Maker(Protocol):
    """Whatever makes requests."""

    def make(self, *, hostile: bool) -> Request:
        """Return the next one, its points marked if it is to be ``hostile``."""


class HostileMaker:
    """The requests of one hostile client; ``make`` marks its points where it is told to."""

    def __init__(self, seed: int, client: int, now_us: int) -> None:
        self._seed = seed
        self._client = client
        self._now_us = now_us - 3_600_000_000
        self._points = 0
        self._serial = 0
        self._chance = random.Random(f"hostile/{seed}/{client}")

    def make(self, *, hostile: bool) -> Request:
        """Return the next request: of the same size and form whether it is bad or not."""
        chance = self._chance
        trouble = chance.choices(list(Trouble), [trouble.value for trouble in Trouble])[0]
        size = chance.randint(*_SIZES.get(trouble, (20, 20)))
        form = Form.LOG_METRIC if size == 1 else Form.COLUMNS if trouble is Trouble.MANY else Form.ROWS
        marks = _marks(trouble, size, chance)
        request = Request(
            client=self._client,
            form=form,
            first=((self._client + 1) << CLIENT_SHIFT) + self._points,
            size=size,
            base_us=self._now_us - (LATE_DAYS if trouble is Trouble.LATE else 1) * DAY_US + self._points,
            first_series=chance.randrange(SERIES),
            late=(),
            negative=(),
            chance=random.Random(f"hostile fate/{self._seed}/{self._client}/{self._serial}"),
            marks=marks if hostile else {},
            buffered=trouble is Trouble.BUFFERED,
        )
        self._points += size
        self._serial += 1
        return request


def _marks(trouble: Trouble, size: int, chance: random.Random) -> dict[int, Mark]:
    if trouble is Trouble.LATE:
        return {}
    if trouble is Trouble.ALL:
        return dict.fromkeys(range(size), chance.choice((*_AT_ONCE, Mark.BLOCKED)))
    picked = chance.sample(range(size), chance.randint(*_BAD.get(trouble, (1, 2))))
    if trouble is Trouble.MANY:
        return dict.fromkeys(picked, chance.choice(_AT_ONCE))
    kinds = {
        Trouble.SERIES: (Mark.BLOCKED,),
        Trouble.UNKEPT: (Mark.UNKEPT,),
        Trouble.BUFFERED: (*_AT_ONCE, Mark.BLOCKED),
    }.get(trouble, _AT_ONCE)
    return {position: chance.choice(kinds) for position in picked}


class HostileClient(StormClient):
    """Sends at a steady pace, whatever comes back; ``hostile`` says whether its points are marked."""

    twin_share = 0.0

    def __init__(
        self, number: int, plan: Plan, servers: list[Server], progress: Progress, findings: Findings, now_us: int
    ) -> None:
        super().__init__(number, plan, servers, progress, findings, now_us)
        self.hostile = False
        self.over = False
        self._hostile_maker: Maker = HostileMaker(plan.seed, number, now_us)

    async def run(self) -> None:
        """Send until ``over``, and return once all is acked."""
        room = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            while not self.over:
                await asyncio.sleep(_INTERVAL_S * self._progress.pace)
                if room.locked():
                    self._findings.counts["hostile requests held back"] += 1
                    continue
                request = self._hostile_maker.make(hostile=self.hostile)
                await room.acquire()
                tasks.create_task(self._send(request)).add_done_callback(lambda _: room.release())

    async def _send(self, request: Request) -> None:
        await self._deliver(request)
        self._findings.counts["hostile requests acked"] += bool(request.marks)
        if not request.buffered and request.chance.random() < _AGAIN_SHARE:
            await self._send_until_acked(request)

    def _allowed(self, request: Request) -> Sequence[int]:
        """Buffered ones go to the last server: it is never killed, and its rejects are few enough to be kept each."""
        last = len(self._servers) - 1
        if request.buffered:
            return [last]
        return range(last if len(request.marks) >= _MANY else last + 1)

    def _is_final(self, request: Request, error: grpc.aio.AioRpcError) -> bool:
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT and error_reason(error) == "REFUSED_BY_DATABASE":
            self._findings.counts["requests refused by the database"] += 1
            self._tell(request, (0, request.size))
            return True
        return False

    def _judge_reply(
        self, request: Request, reply: pb.WriteResponse | pb.LogMetricsResponse, *, repeated: bool
    ) -> None:
        self._findings.counts["OK replies"] += 1
        if isinstance(reply, pb.LogMetricsResponse):
            self._tell(request, (1, 0))
        elif not request.buffered:
            self._tell(request, (reply.accepted_points, reply.rejected_points))

    def _tell(self, request: Request, told: tuple[int, int]) -> None:
        """Note an answer, which has to be the same each time."""
        if request.told not in (None, told):
            self._findings.violate("a retry is answered as before", f"{request.key}: {request.told}, then {told}")
        request.told = told
