"""The password, the port and the lock of one local database."""

import socket
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ingestor.local.account import current_account
from ingestor.local.instance import Instance, InstanceBusyError


def _instance(directory: Path) -> Instance:
    return Instance(directory, current_account())


async def test_the_url_is_the_superusers_on_this_machine(tmp_path: Path) -> None:
    instance = _instance(tmp_path / "dev")
    await instance.open()
    await instance.take_port(set())
    url = urlsplit(instance.url("ingestor"))
    assert (url.scheme, url.username, url.hostname, url.path) == ("postgresql", "postgres", "127.0.0.1", "/ingestor")
    assert url.password == (tmp_path / "dev/password").read_text()
    assert url.port == instance.port
    instance.close()


def test_what_is_special_in_a_url_is_encoded(tmp_path: Path) -> None:
    url = urlsplit(_instance(tmp_path).url("a/b", "us:er", "p@ss/w:rd"))
    assert unquote(url.username or "") == "us:er"
    assert unquote(url.password or "") == "p@ss/w:rd"
    assert url.path == "/a%2Fb"


def test_another_users_url_never_holds_the_superusers_password(tmp_path: Path) -> None:
    instance = _instance(tmp_path)
    instance.password = "secret"
    assert instance.url("ingestor", "reader") == "postgresql://reader@127.0.0.1:0/ingestor"


async def test_password_and_port_stay_from_one_run_to_the_next(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        instance = _instance(tmp_path / "dev")
        await instance.open()
        await instance.take_port(set())
        seen.append((instance.password, instance.port))
        instance.close()
    assert seen[0] == seen[1]
    assert stat.S_IMODE((tmp_path / "dev/password").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "dev").stat().st_mode) == 0o700


async def test_a_port_that_was_taken_meanwhile_is_given_up(tmp_path: Path) -> None:
    instance = _instance(tmp_path / "dev")
    await instance.open()
    await instance.take_port(set())
    first = instance.port
    with socket.create_server(("127.0.0.1", first)):
        await instance.take_port(set())
        second = instance.port
    await instance.take_port({second})
    assert second != first
    assert instance.port != second
    instance.close()


async def test_one_process_at_a_time_has_an_instance(tmp_path: Path) -> None:
    first, second = _instance(tmp_path / "dev"), _instance(tmp_path / "dev")
    await first.open()
    with pytest.raises(InstanceBusyError, match="dev"):
        await second.open()
    first.close()
    await second.open()
    second.close()
