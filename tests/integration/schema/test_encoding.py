"""A database that can't hold every text is named before anything is made in it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import pytest

from ingestor.schema.apply import apply_schema, plan_schema, read_schema
from ingestor.schema.bootstrap import bootstrap, bootstrap_sql
from ingestor.schema.faults import EncodingError
from ingestor.schema.plan import make_plan
from ingestor.storage.rehearsal import rehearse
from support.database import execute, fetch

from .conftest import Site


@pytest.fixture(params=["LATIN1", "SQL_ASCII", "EUC_JP"])
async def other(blank: Site, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Return an empty database of another encoding."""
    name = f"{blank.spec.name}_other"
    await execute(
        blank.admin_url,
        f"CREATE DATABASE {name} ENCODING '{request.param}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    )
    yield replace(blank, admin_url=urlunsplit(urlsplit(blank.admin_url)._replace(path=f"/{name}")))
    await execute(blank.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_every_command_names_an_encoding_that_cannot_hold_every_text(other: Site) -> None:
    with pytest.raises(EncodingError, match="make one with ENCODING 'UTF8'"):
        await bootstrap(other.admin_url, other.roles, other.spec.name)
    assert not await fetch(other.admin_url, f"SELECT FROM pg_roles WHERE rolname = '{other.roles.owner}'")
    database = urlsplit(other.admin_url).path.lstrip("/")
    await execute(other.admin_url, bootstrap_sql(database, other.roles, other.spec.name))
    plan = await plan_schema(other.owner_url, other.spec)
    assert [problem.reason for problem in plan.problems] == ["database_encoding"]
    with pytest.raises(EncodingError):
        await apply_schema(other.owner_url, other.spec)
    findings = await rehearse(other.writer_url, other.spec.name)
    assert ("problem", "encoding") in {(finding.level, finding.topic) for finding in findings}


async def test_a_schema_that_is_there_already_goes_on_with_a_note(site: Site) -> None:
    catalog = await read_schema(site.owner_url, site.spec)
    latin = replace(catalog, server=replace(catalog.server, encoding="LATIN1"))
    plan = make_plan(site.spec, latin, site.roles)
    assert plan.empty
    assert "has encoding LATIN1" in plan.notes[0]
