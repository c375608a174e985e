"""A client that is never left says in the log how many points are lost, whichever way it ends."""

import pytest

from support.scripts import run_script

RECORD = """
async def record(client):
    await client.__aenter__()
    for value in range(7):
        await client.record("service", "metric", value)
"""
WAYS = {
    "asyncio.run": """
client = Client("", sender=FakeSender())
asyncio.run(record(client))
""",
    "loop closed": """
client = Client("", sender=FakeSender())
loop = asyncio.new_event_loop()
loop.run_until_complete(record(client))
loop.close()
""",
    "loop closed, collected": """
def lose():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(record(Client("", sender=FakeSender())))
    loop.close()
lose()
gc.collect()
print("collected", flush=True)
os._exit(0)
""",
    "interpreter ends": """
client = Client("", sender=FakeSender())
loop = asyncio.new_event_loop()
loop.run_until_complete(record(client))
""",
    "on the way": """
sender = FakeSender()
sender.hold()
client = Client("", sender=sender, batch_points=3)
loop = asyncio.new_event_loop()
loop.run_until_complete(record(client))
""",
    "thread": """
thread = threading.Thread(target=lambda: asyncio.run(record(Client("", sender=FakeSender()))))
thread.start()
thread.join()
""",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_log_says_how_many_points_are_lost(way: str) -> None:
    ran = run_script(RECORD + way)
    errors = [line for line in ran.stderr.splitlines() if line.startswith("ERROR") and "points" in line]
    assert len(errors) == 1, ran.stderr
    assert "7 points" in errors[0]


def test_a_client_that_was_left_says_nothing() -> None:
    ran = run_script("""
async def main():
    async with Client("", sender=FakeSender()) as client:
        await client.record("service", "metric", 1)
asyncio.run(main())
""")
    assert (ran.returncode, ran.stderr) == (0, "")
