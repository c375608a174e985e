"""The command as a user runs it: output, exit code, Ctrl-C."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from support.eventually import HANG_S
from support.fake_ingestor import FakeIngestor, Fault

ROOT = Path(__file__).parents[3]
PROGRAM = "import typer; from ingestor.commands.load import load; typer.run(load)"


async def start(*arguments: str) -> Process:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "app"), "COLUMNS": "120"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )


async def finish(process: Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(HANG_S):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_a_burst_ends_with_a_table(fake: FakeIngestor) -> None:
    code, output, _ = await finish(await start("--target", fake.target, "--points", "2000", "--series", "100"))
    assert code == 0
    assert "points acked" in output
    assert "2,000" in output
    assert len(fake.points) == 2_000


async def test_json_is_all_that_goes_to_standard_output(fake: FakeIngestor) -> None:
    arguments = ("--target", fake.target, "--points", "500", "--series", "100", "--form", "rows", "--json")
    code, output, _ = await finish(await start(*arguments, "--ack", "buffered"))
    assert code == 0
    assert json.loads(output)["phases"][0]["points_acked"] == 500
    assert set(fake.acks) == {"ACK_BUFFERED"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_in_order(fake: FakeIngestor, number: signal.Signals) -> None:
    process = await start("--target", fake.target, "--machine", "--interval", "0.05", "--json")
    await fake.until_attempts(3)
    process.send_signal(number)
    code, output, errors = await finish(process)
    report = json.loads(output)
    assert (code, report["interrupted"]) == (0, True), errors
    assert report["phases"][0]["points_acked"] == len(fake.points)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_burst_waits_for_its_answers_and_reports_them(
    fake: FakeIngestor, number: signal.Signals
) -> None:
    fake.delay_s = 0.3
    synthetic = ("--form", "rows", "--points", "100000000", "--rate", "1000", "--batch", "10", "--unique")
    process = await start("--target", fake.target, *synthetic, "--duration", "60", "--json")
    await fake.until_attempts(30)
    process.send_signal(number)
    code, output, errors = await finish(process)
    report = json.loads(output)
    (phase,) = report["phases"]
    assert (code, report["interrupted"]) == (0, True), errors
    assert phase["points_sent"] == phase["points_acked"] == len(fake.points)
    assert phase["points_unanswered"] == 0
    assert {point.service_name for point in fake.points} == {phase["service_name"]}
    assert re.fullmatch("synthetic-[0-9a-f]{8}", phase["service_name"])


async def test_a_second_interrupt_does_not_wait(fake: FakeIngestor) -> None:
    fake.always = Fault(hangs=True)
    process = await start("--target", fake.target, "--points", "10", "--series", "10")
    await fake.until_attempts(1)
    # The second comes until the process is gone: two signals at once would count as one.
    finishing = asyncio.create_task(finish(process))
    while not finishing.done():
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait({finishing}, timeout=0.2)
    code, _, _ = finishing.result()
    assert code != 0, "it waited for the answer as after the first"


async def test_lost_points_are_a_failure(fake: FakeIngestor) -> None:
    fake.always = Fault(retry_after_s=3_600)
    arguments = ("--target", fake.target, "--points", "10", "--series", "10", "--give-up-after", "600")
    code, output, _ = await finish(await start(*arguments))
    assert code == 1
    assert "given up, UNAVAILABLE: as told" in output


async def test_a_wrong_option_is_one_clear_message() -> None:
    code, output, errors = await finish(await start("--points", "1000000", "--series", "1"))
    assert (code, output) == (2, "")
    assert "--series 4" in errors
    assert "Traceback" not in errors
