"""A client is used by the thread, process and event loop that entered it: others are refused, and mix up nothing."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ingestor.client import Client, ClientClosedError, ForeignUseError, SeriesHandle
from support.fake_sender import FakeSender, check_books
from support.scripts import run_script

Use = Callable[[Client, SeriesHandle], object]
SYNC: dict[str, Use] = {
    "try_record": lambda client, _: client.try_record("service", "metric", 1),
    "handle.try_record": lambda _, handle: handle.try_record(1),
    "series": lambda client, _: client.series("service", "other"),
    "stats": lambda client, _: client.stats(),
}
ASYNC: dict[str, Use] = {
    "record": lambda client, _: client.record("service", "metric", 1),
    "handle.record": lambda _, handle: handle.record(1),
    "record_columns": lambda client, handle: client.record_columns([handle], np.zeros(1, int), [1], [1.0]),
    "flush": lambda client, _: client.flush(),
    "leave": lambda client, _: client.__aexit__(None, None, None),
}


async def awaited(use: Use, client: Client, handle: SeriesHandle) -> None:
    await use(client, handle)  # type: ignore[misc]


def use_it(name: str, client: Client, handle: SeriesHandle) -> None:
    """Use it here, in an event loop of its own where that is needed."""
    if name in SYNC:
        SYNC[name](client, handle)
    else:
        asyncio.run(awaited(ASYNC[name], client, handle))


@pytest.mark.parametrize("begun", [False, True], ids=["empty batch", "open batch"])
@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
async def test_another_thread_is_refused(name: str, *, begun: bool) -> None:
    sender = FakeSender()
    async with Client("", sender=sender) as client:
        handle = client.series("service", "metric")
        if begun:
            await handle.record(0)
        with ThreadPoolExecutor(1) as pool, pytest.raises(ForeignUseError, match="call_soon_threadsafe"):
            pool.submit(use_it, name, client, handle).result(60)
        await handle.record(2)
        await client.flush()
        check_books(client)
    assert [value for _, _, value in sender.points] == ([0, 2] if begun else [2])


@pytest.mark.parametrize("name", ASYNC)
def test_another_loop_of_the_same_thread_is_refused(name: str) -> None:
    sender = FakeSender()
    client = Client("", sender=sender)
    with asyncio.Runner() as first:
        first.run(client.__aenter__())
        handle = client.series("service", "metric")
        with asyncio.Runner() as second, pytest.raises(ForeignUseError, match="another one"):
            second.run(awaited(ASYNC[name], client, handle))
        first.run(handle.record(2))
        first.run(client.__aexit__(None, None, None))
    assert [value for _, _, value in sender.points] == [2]


def test_a_point_for_the_open_batch_of_a_loop_that_stands_still_waits_for_it() -> None:
    """Of each batch only the first point looks at the loop: that costs more than all the rest."""
    sender = FakeSender()
    client = Client("", sender=sender)
    with asyncio.Runner() as first:
        first.run(client.__aenter__())
        handle = client.series("service", "metric")
        first.run(handle.record(0))
        with asyncio.Runner() as second:
            second.run(handle.record(1))
            with pytest.raises(ForeignUseError, match="another one"):
                second.run(client.flush())
        first.run(client.__aexit__(None, None, None))
    assert [value for _, _, value in sender.points] == [0, 1]


async def test_points_handed_over_to_the_loop_are_taken() -> None:
    sender = FakeSender()
    async with Client("", sender=sender) as client:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: loop.call_soon_threadsafe(client.try_record, "service", "metric", 1))
        recorded = asyncio.run_coroutine_threadsafe(client.record("service", "metric", 2), loop)
        await asyncio.wrap_future(recorded)
    assert sorted(value for _, _, value in sender.points) == [1, 2]


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_s)


@pytest.mark.usefixtures("frequent_switches")
async def test_a_thread_that_tries_all_the_time_mixes_up_no_point() -> None:
    sender, refused, ends = FakeSender(), [0], threading.Event()
    async with Client("", sender=sender) as client:
        mine, others = client.series("mine", "metric"), client.series("others", "metric")

        def intrude() -> None:
            while not ends.is_set():
                with pytest.raises(ForeignUseError):
                    others.try_record(-1)
                refused[0] += 1

        intruding = asyncio.create_task(asyncio.to_thread(intrude))
        recorded = 0
        while refused[0] < 100 or recorded < 5_000:
            await mine.record(recorded, time_ns=recorded + 1)
            recorded += 1
        ends.set()
        await intruding
    assert [(one[0], time_ns, value) for one, time_ns, value in sender.points] == [
        ("mine", number + 1, number) for number in range(recorded)
    ]


def test_before_and_after_the_block_any_thread_may_look() -> None:
    client = Client("", sender=FakeSender())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(client.stats).result(60).recorded_points == 0
        pool.submit(client.series, "service", "metric").result(60)

        async def run() -> None:
            async with client:
                await client.record("service", "metric", 1)

        asyncio.run(run())
        assert pool.submit(client.stats).result(60).acked_points == 1
        with pytest.raises(ClientClosedError):
            pool.submit(client.try_record, "service", "metric", 1).result(60)


def test_leaving_twice_or_without_entering_is_told() -> None:
    async def run() -> None:
        client = Client("", sender=FakeSender())
        with pytest.raises(ClientClosedError):
            await client.__aexit__(None, None, None)
        async with client:
            await client.record("service", "metric", 1)
        await client.__aexit__(None, None, None)
        await client.flush()
        assert client.stats().acked_points == 1

    asyncio.run(run())


FORKED = """
async def main():
    sender = FakeSender()
    async with Client("", sender=sender, batch_points=100) as client:
        handle = client.series("service", "metric")
        await handle.record(1)
        child = os.fork()
        if not child:
            for name, use in {
                "try_record": lambda: client.try_record("service", "metric", 2),
                "handle": lambda: handle.try_record(2),
                "series": lambda: client.series("a", "b"),
                "stats": client.stats,
            }.items():
                try:
                    print(name, use())
                except Exception as error:
                    print(name, type(error).__name__, "forked" in str(error))
            for name, use in {"record": client.record("service", "metric", 2), "flush": client.flush()}.items():
                try:
                    use.send(None)
                except Exception as error:
                    print(name, type(error).__name__, "forked" in str(error))
            sys.exit(3)
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        await handle.record(3)
    print([value for _, _, value in sender.points])
asyncio.run(main())
"""


def test_a_forked_process_is_refused_and_leaves_the_points_to_its_parent() -> None:
    ran = run_script(FORKED)
    names = ["try_record", "handle", "series", "stats", "record", "flush"]
    assert ran.stdout.splitlines() == [f"{name} ForeignUseError True" for name in names] + ["child 3", "[1.0, 3.0]"]
    assert ran.stderr == ""


AFTER_USE = """
async def use():
    async with Client("127.0.0.1:1", give_up_after_s=0.1, on_failure=lambda *_: None) as client:
        client.try_record("service", "metric", 1)

async def enter():
    async with Client("127.0.0.1:1"):
        print("entered")

def attempt(first):
    try:
        asyncio.run(first())
    except Exception as error:
        print(type(error).__name__, error)

if {used}:
    attempt(use)
child = os.fork()
if not child:
    attempt(enter)
    sys.stdout.flush()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_process_forked_after_a_client_was_used_is_refused_in_words() -> None:
    ran = run_script(AFTER_USE.replace("{used}", "True"))
    told = ran.stdout.splitlines()[-1]
    assert told.startswith("ForeignUseError process ")
    assert told.endswith(": fork before the first client, or start processes by spawn or forkserver")


def test_a_process_forked_before_that_may_use_one() -> None:
    ran = run_script(AFTER_USE.replace("{used}", "False"))
    assert ran.stdout.splitlines() == ["entered"]
