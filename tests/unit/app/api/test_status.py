"""Which status each error becomes, and what its details say."""

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ingestor.api.status import BASE_RETRY_S, DOMAIN, MAX_RETRY_S, refusal, refuse, retry_after_s, status_code
from ingestor.errors import (
    CardinalityError,
    CommitUnknownError,
    IngestorError,
    InvalidRequestError,
    KeyExpiredError,
    KeyReusedError,
    LimitError,
    PermanentError,
    TransientError,
    Violation,
)
from ingestor.storage.contract import ErrorClass, FlushError

INVALID = InvalidRequestError([Violation("points[0].value", "value_missing", "must be set")] * 30)


class Told:
    """A refusal as its client reads it."""

    def __init__(self, error: IngestorError, drain_s: float = 0.0) -> None:
        told = refusal(error, drain_s)
        self.code = told.code
        self.text = told.text
        self.trailers = dict(told.metadata)
        self.status = status_pb2.Status.FromString(self.trailers["grpc-status-details-bin"])

    def find(self, kind: type[Message]) -> list[Any]:
        """Return the details of one type."""
        found = []
        for detail in self.status.details:
            if detail.Is(kind.DESCRIPTOR):
                message = kind()
                detail.Unpack(message)
                found.append(message)
        return found


class FakeContext:
    """Ends a call as gRPC does: the exception is raised and kept with the call."""

    def __init__(self) -> None:
        self.kept = grpc.aio.AbortError()

    async def abort(self, *_: object) -> None:
        raise self.kept


@pytest.mark.parametrize(
    ("error", "code", "retried"),
    [
        (TransientError("full", reason="buffer_full"), grpc.StatusCode.UNAVAILABLE, True),
        (FlushError("lost", ErrorClass.CONNECTION), grpc.StatusCode.UNAVAILABLE, True),
        (LimitError("series", reason="new_series_limit"), grpc.StatusCode.RESOURCE_EXHAUSTED, True),
        (CommitUnknownError("late", reason="commit_unknown"), grpc.StatusCode.DEADLINE_EXCEEDED, False),
        (KeyExpiredError(), grpc.StatusCode.FAILED_PRECONDITION, False),
        (KeyReusedError(), grpc.StatusCode.INVALID_ARGUMENT, False),
        (CardinalityError(), grpc.StatusCode.UNIMPLEMENTED, False),
        (PermanentError("wide", reason="too_wide"), grpc.StatusCode.INVALID_ARGUMENT, False),
        (INVALID, grpc.StatusCode.INVALID_ARGUMENT, False),
    ],
)
def test_an_error_becomes_its_status_and_advises_a_retry_only_where_one_may_help(
    error: TransientError | PermanentError, code: grpc.StatusCode, retried: bool
) -> None:
    told = Told(error)
    assert (status_code(error), told.code, told.status.code) == (code, code, code.value[0])
    assert told.text == told.status.message == str(error)
    assert bool(told.find(error_details_pb2.RetryInfo)) is retried
    assert ("google.rpc.retryinfo-bin" in told.trailers) is retried
    (info,) = told.find(error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (error.reason.upper(), DOMAIN)


def test_violations_are_told_by_field_and_reason_a_bounded_number_of_them() -> None:
    told = Told(INVALID)
    (bad,) = told.find(error_details_pb2.BadRequest)
    one = error_details_pb2.BadRequest.FieldViolation(
        field="points[0].value", reason="value_missing", description="must be set"
    )
    assert len(bad.field_violations) > 10
    assert all(violation == one for violation in bad.field_violations)
    assert bad.ByteSize() < 2_200


def test_texts_are_cut_so_that_the_status_fits_into_headers() -> None:
    violation = Violation("f", "r", "\u20ac" * 5_000)
    told = Told(InvalidRequestError([violation] * 100))
    assert len(told.text) == 200
    assert told.status.ByteSize() < 4_000


@pytest.mark.parametrize(
    ("own_s", "drain_s", "expected_s"),
    [
        (None, 0.0, BASE_RETRY_S),
        (None, 12.0, 12.0),
        (None, 300.0, MAX_RETRY_S),
        (5.0, 12.0, 5.0),
        (0.0, 12.0, BASE_RETRY_S),
    ],
)
def test_the_advised_pause_is_the_errors_own_or_else_that_of_the_drain(
    own_s: float | None, drain_s: float, expected_s: float
) -> None:
    told = Told(TransientError("full", reason="buffer_full", retry_after_s=own_s), drain_s)
    (info,) = told.find(error_details_pb2.RetryInfo)
    assert expected_s * 0.799 <= info.retry_delay.ToMilliseconds() / 1000 <= expected_s * 1.2


def test_pauses_are_spread_so_that_clients_do_not_come_back_together() -> None:
    pauses = [retry_after_s(10.0) for _ in range(200)]
    assert len(set(pauses)) > 100
    assert 8.0 <= min(pauses) < 9.0 < 11.0 < max(pauses) <= 12.0


async def test_what_grpc_keeps_of_a_refused_call_keeps_nothing_of_ours() -> None:
    context = FakeContext()
    try:
        raise INVALID
    except InvalidRequestError as error:
        told = refusal(error, 0.0)
    await refuse(context, told)  # type: ignore[arg-type]
    assert (context.kept.__traceback__, context.kept.__context__) == (None, None)
