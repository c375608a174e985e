"""A database that the user names is his."""

from pathlib import Path

from ingestor.local import running_database


async def test_a_given_url_is_used_as_it_is_and_nothing_is_made(tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    url = "postgresql://me:secret@nowhere.test/db"
    async with running_database(cache, instance="dev", given_url=url, say=said.append) as database:
        assert database.admin_url == url
    assert not cache.exists()
    assert said == ["Database: the one of INGESTOR_DATABASE_URL"]
    assert "secret" not in repr(database)
