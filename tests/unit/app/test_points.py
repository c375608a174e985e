"""Series have slots, and identities that all processes compute alike."""

import json
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingestor.points import SHOWN_CHARACTERS, SHOWN_LABELS, Points, Series, SeriesTable, describe_identity, series_id

texts = st.text(max_size=5)
series = st.builds(
    Series, texts, texts, st.dictionaries(texts, texts, max_size=3).map(lambda pairs: tuple(sorted(pairs.items())))
)


def test_the_digest_is_the_one_that_databases_hold_already() -> None:
    digest = Series("service", "metric", (("host", "a"), ("zone", "é"))).digest()
    assert digest.hex() == "625112eaa70a46ff65d9a222f54472ffc099a2caf36d230dc5880fc3210314dc"
    assert series_id(digest) == int.from_bytes(digest[:8], "big", signed=True)


@given(series, series)
def test_only_equal_series_have_equal_digests(one: Series, other: Series) -> None:
    assert (one.digest() == other.digest()) == (one == other)


@given(series)
def test_labels_are_an_object_in_json(one: Series) -> None:
    assert json.loads(one.labels_json()) == dict(one.labels)


def test_a_series_is_stored_once_a_connection_saw_it() -> None:
    table = SeriesTable()
    slots = [table.intern(Series("s", f"m{n}", ())) for n in range(2)]
    table.mark_stored(np.array(slots[:1], np.int32), 1)
    assert [table.is_stored(slot) for slot in slots] == [True, False]


def test_a_table_keeps_slots_and_ids_while_it_grows() -> None:
    table = SeriesTable()
    all_series = [Series("s", f"m{n}", ()) for n in range(3_000)]
    slots = [table.intern(one) for one in all_series]
    assert slots == [table.intern(one) for one in all_series] == list(range(3_000))
    assert table.ids(np.array(slots, np.int32)).tolist() == [series_id(one.digest()) for one in all_series]
    assert len(table) == 3_000


def test_a_table_charges_for_each_series_once() -> None:
    table = SeriesTable()
    sizes = [table.size_bytes]
    for name in ("m", "m", "m" * 101):
        table.intern(Series("s", name, ()))
        sizes.append(table.size_bytes)
    first, again, longer = (after - before for before, after in pairwise(sizes))
    assert again == 0
    assert longer == first + 100 > 400


def test_series_stored_before_a_reconnect_are_missing_again() -> None:
    table = SeriesTable()
    slots = np.array([table.intern(Series("s", name, ())) for name in "aba"], np.int32)
    assert table.missing(slots, 1).tolist() == [0, 1]
    table.mark_stored(slots[:1], 1)
    assert table.missing(slots, 1).tolist() == [1]
    assert table.missing(slots, 2).tolist() == [0, 1]
    table.mark_stored(slots, 2)
    table.mark_stored(slots, 1)  # a slower connection's news does not undo it
    assert table.missing(slots, 2).tolist() == []


def test_a_table_lacks_series_until_all_of_them_were_seen_by_a_connection_as_new() -> None:
    table = SeriesTable()
    assert table.lacks(1)
    slots = np.array([table.intern(Series("s", name, ())) for name in "ab"], np.int32)
    table.mark_stored(slots[:1], 1)
    assert table.lacks(1)
    table.mark_stored(slots[1:], 2)
    assert [table.lacks(epoch) for epoch in (1, 2)] == [False, True]
    table.mark_stored(slots, 2)
    table.mark_stored(slots, 1)
    assert [table.lacks(epoch) for epoch in (1, 2, 3)] == [False, False, True]
    table.intern(Series("s", "c", ()))
    assert table.lacks(1)


def test_points_know_their_size() -> None:
    points = Points(SeriesTable(), np.zeros(3, np.int32), np.zeros(3, np.int64), np.zeros(3), 0, 0)
    assert (len(points), points.size_bytes) == (3, 3 * (4 + 8 + 8))


def test_what_is_kept_of_an_invalid_identity_is_short_and_has_no_nul() -> None:
    kept = describe_identity("a\0b", "x" * 5_000, [(f"n{n}", "\0" * 5_000) for n in range(50)])
    assert (kept["service_name"], kept["metric_name"]) == ("a\ufffdb", "x" * SHOWN_CHARACTERS)
    labels = kept["labels"]
    assert isinstance(labels, dict)
    assert (len(labels), set(labels.values())) == (SHOWN_LABELS, {"\ufffd" * SHOWN_CHARACTERS})
