"""Which TimescaleDB is chosen, and what is said where there is none."""

from pathlib import Path

import pytest

from ingestor.errors import ConfigurationError
from ingestor.local.account import current_account
from ingestor.local.container import IMAGE, ContainerEngine, find_engine
from ingestor.local.debian import DebianPackages
from ingestor.local.find import Source, first_of, sources
from ingestor.local.installed import Installation, NotHereError
from ingestor.local.processes import CommandError
from support.fake_runner import FakeRunner, missing

INSTALLED = Installation(Path("/opt/postgresql/bin"), 16, "installed")
PACKAGED = Installation(Path("/cache/bin"), 17, "packaged")


def _way(result: Installation | ContainerEngine | Exception, asked: list[object]) -> Source:
    async def find() -> Installation | ContainerEngine:
        asked.append(result)
        if isinstance(result, Exception):
            raise result
        return result

    return find


async def test_the_first_way_that_is_open_is_taken_and_no_later_one_is_tried() -> None:
    asked: list[object] = []
    closed = NotHereError("nothing installed")
    ways = [_way(result, asked) for result in (closed, ContainerEngine("podman"), PACKAGED)]
    assert await first_of(ways) == ContainerEngine("podman")
    assert asked == [closed, ContainerEngine("podman")]


async def test_where_every_way_is_closed_the_error_gives_each_reason_and_what_to_install() -> None:
    ways = [_way(NotHereError(reason), []) for reason in ("nothing installed", "no engine", "no apt")]
    with pytest.raises(ConfigurationError) as caught:
        await first_of(ways)
    text = str(caught.value)
    assert [part in text for part in ("nothing installed", "no engine", "no apt")] == [True] * 3
    assert "install PostgreSQL 14 or later with the timescaledb extension" in text
    assert "INGESTOR_DATABASE_URL" in text


async def test_an_error_that_is_not_about_the_machine_is_not_taken_for_a_closed_way() -> None:
    with pytest.raises(ConfigurationError, match="disk"):
        await first_of([_way(ConfigurationError("disk full"), []), _way(PACKAGED, [])])


def test_debian_packages_are_the_last_way_as_they_cost_most(tmp_path: Path) -> None:
    ways = sources(tmp_path, current_account(), print)
    assert len(ways) == 3
    assert getattr(ways[-1], "__func__", None) is DebianPackages.find


async def test_a_client_without_an_engine_is_passed_over_for_one_that_answers() -> None:
    assert await find_engine(FakeRunner({"docker": missing("docker")})) == ContainerEngine("podman")
    assert await find_engine(FakeRunner()) == ContainerEngine("docker")


async def test_no_engine_at_all_closes_that_way() -> None:
    with pytest.raises(NotHereError, match="neither docker nor podman"):
        await find_engine(FakeRunner({"docker": missing("docker"), "podman": missing("podman")}))


async def test_the_image_is_fetched_only_where_it_is_missing() -> None:
    present, absent = FakeRunner(), FakeRunner({"image inspect": CommandError("no such image")})
    for engine in (present, absent):
        await find_engine(engine)
    assert present.having("pull") == []
    assert absent.having("pull") == [["docker", "pull", "--quiet", IMAGE]]


async def test_an_engine_that_cannot_fetch_the_image_closes_that_way() -> None:
    answers = {name: CommandError("no route to host") for name in ("image inspect", "pull")}
    with pytest.raises(NotHereError, match="and cannot fetch it: no route to host"):
        await find_engine(FakeRunner({**answers}))
