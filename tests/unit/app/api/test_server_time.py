"""The refusal of a key says what time it is for the server; no other refusal does."""

import time

import pytest

from ingestor.api.server_time import time_metadata


@pytest.mark.parametrize("reason", ["idempotency_key_ahead", "idempotency_key_expired"])
def test_a_key_refused_for_its_time_is_told_the_servers(reason: str) -> None:
    before_ms = time.time_ns() // 1_000_000
    (told,) = time_metadata(reason).items()
    assert told[0] == "server_unix_ms"
    assert before_ms <= int(told[1]) <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("reason", ["idempotency_key_reused", "idempotency_key_malformed", "buffer_full"])
def test_no_other_refusal_has_a_time(reason: str) -> None:
    assert time_metadata(reason) == {}
