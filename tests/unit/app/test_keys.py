"""Keys are UUIDv7 and nothing else."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.keys import first_key, key_from_bytes, key_from_text, mint_key, minted_ms

milliseconds = st.integers(0, (1 << 48) - 1)


@given(milliseconds, st.integers(0, (1 << 80) - 1))
def test_a_key_is_of_version_7_and_tells_when_it_was_minted(now_ms: int, random_bits: int) -> None:
    key = first_key(now_ms, random_bits)
    assert (key.version, key.variant, minted_ms(key)) == (7, uuid.RFC_4122, now_ms)
    assert key_from_bytes(key.bytes) == key_from_text(str(key)) == key
    assert first_key(now_ms) <= key
    assert now_ms == (1 << 48) - 1 or key < first_key(now_ms + 1)


def test_minted_keys_differ() -> None:
    assert len({mint_key(1) for _ in range(1_000)}) == 1_000


@given(st.uuids().filter(lambda one: one.version != 7))
def test_other_uuids_are_no_keys(other: uuid.UUID) -> None:
    with pytest.raises(ValueError, match="version 7"):
        key_from_bytes(other.bytes)
    with pytest.raises(ValueError, match="version 7"):
        key_from_text(str(other))


@given(st.binary(max_size=40).filter(lambda raw: len(raw) != 16))
def test_bytes_of_another_length_are_no_key(raw: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        key_from_bytes(raw)


KEY = first_key(1_700_000_000_000, 1 << 70 | 12_345)


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEY.hex,
        f"{{{KEY}}}",
        f"urn:uuid:{KEY}",
        str(KEY).replace("-", "_"),
        str(KEY)[:-1] + "g",
        f"{{{KEY.hex}}}--",
        KEY.hex + "----",
        "uuid" + KEY.hex,
    ],
)
def test_any_other_form_of_text_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        key_from_text(text)


def test_a_key_may_be_in_capitals() -> None:
    assert key_from_text(str(KEY).upper()) == KEY
