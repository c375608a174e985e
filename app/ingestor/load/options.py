"""What one run of the load generator does, checked before anything is sent."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from math import isfinite

from ingestor.client.encode import Form
from ingestor.client.target import check_target
from ingestor.errors import ConfigurationError
from ingestor.points import Ack

STEP_S = 10
"""Time between two points of one synthetic series, in seconds."""

OLDEST_S = 30 * 86_400
"""How far back synthetic points may reach: a day less than the server's default limit, so that a slow run stays in it.

Source: ``Settings.time_behind_s``, 31 days.
"""


_IN_FLIGHT = {Form.COLUMNS: 8, Form.ROWS: 64, Form.SINGLE: 64}
_POINTS_PER_REQUEST = {Form.COLUMNS: 10_000, Form.ROWS: 1_000, Form.SINGLE: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Settings of one run: ``points`` synthetic ones first (0: none), then this machine's metrics if ``machine``.

    ``rate`` is in points per second and concerns synthetic points, 0 means as fast as the server answers;
    ``duration_s`` bounds the whole run, 0 means no bound; ``in_flight`` and ``points_per_request`` of 0 mean what
    suits the form. ``service_name`` empty: the host's name for machine metrics, ``synthetic`` for the others, whose
    name ends in ``run`` where that is given, so that a run's points can be told from another's.
    ``drain_s`` is how long an interrupted run waits for what is in flight.

    Raises:
        ConfigurationError: an option is out of range, or they contradict each other.
    """

    target: str = "localhost:50051"
    form: Form = Form.COLUMNS
    ack: Ack | None = None
    points: int = 1_000_000
    series: int = 10_000
    seed: int = 1
    machine: bool = False
    interval_s: float = 10.0
    duration_s: float = 0.0
    rate: float = 0.0
    in_flight: int = 0
    points_per_request: int = 0
    give_up_after_s: float = 60.0
    service_name: str = ""
    run: str = ""
    drain_s: float = 5.0

    def __post_init__(self) -> None:
        self._check_target()
        if self.points < 0 or self.series < 1 or self.seed < 0:
            raise ConfigurationError("--points and --seed must not be negative, --series must be 1 or more")
        if not self.points and not self.machine:
            raise ConfigurationError("nothing to send: give --points, or --machine, or both")
        for option, number in self._decimals().items():
            if not isfinite(number):
                raise ConfigurationError(f"{option} must be a finite number")
        if self.interval_s <= 0 or self.give_up_after_s <= 0:
            raise ConfigurationError("--interval and --give-up-after must be above 0 seconds")
        if min(self.duration_s, self.rate, self.in_flight, self.points_per_request) < 0:
            raise ConfigurationError("--duration, --rate, --in-flight and --batch must not be negative")
        if self.form is Form.SINGLE and self.points_per_request > 1:
            raise ConfigurationError("--batch is for columns and rows: single sends one point per request")
        if self.steps * STEP_S > OLDEST_S:
            least, most = -(-self.points * STEP_S // OLDEST_S), self.series * (OLDEST_S // STEP_S)
            raise ConfigurationError(
                f"{self.points} points over {self.series} series reach more than 30 days back, and the server "
                f"takes 31: use --series {least} or more, or --points {most} or fewer"
            )

    def _check_target(self) -> None:
        if _is_ipv6(self.target):  # gRPC would take all of it for the address, and another port
            raise ConfigurationError("--target: write an IPv6 address in brackets, as in [::1]:50051")
        try:
            check_target(self.target)
        except ValueError as error:
            raise ConfigurationError(f"--target: {error}") from error

    def _decimals(self) -> dict[str, float]:
        return {
            "--rate": self.rate,
            "--duration": self.duration_s,
            "--interval": self.interval_s,
            "--give-up-after": self.give_up_after_s,
        }

    @property
    def steps(self) -> int:
        """Return how many points the longest synthetic series has."""
        return -(-self.points // self.series)

    @property
    def slots(self) -> int:
        """Return how many requests may be in flight."""
        return self.in_flight or _IN_FLIGHT[self.form]

    @property
    def batch_points(self) -> int:
        """Return how many points a full request has."""
        return self.points_per_request or _POINTS_PER_REQUEST[self.form]

    @property
    def machine_service(self) -> str:
        """Return the service name of this machine's metrics."""
        return self.service_name or socket.gethostname()

    @property
    def synthetic_service(self) -> str:
        """Return the service name of synthetic series."""
        name = self.service_name or "synthetic"
        return f"{name}-{self.run}" if self.run else name


def _is_ipv6(target: str) -> bool:
    for address in (target, target.rpartition(":")[0]):
        with suppress(ValueError):
            return bool(IPv6Address(address))
    return False
