"""The check of a real database, as each role sees it."""

from urllib.parse import urlsplit, urlunsplit

import pytest

from ingestor.schema.bootstrap import bootstrap
from ingestor.schema.connect import Connection
from ingestor.schema.preflight import Finding
from ingestor.storage.rehearsal import rehearse

from .conftest import Site


def _faults(findings: list[Finding]) -> set[tuple[str, str]]:
    return {
        (finding.level, finding.topic)
        for finding in findings
        if finding.level != "ok" and finding.topic != "durability"
    }


def _sentence(findings: list[Finding], topic: str) -> str:
    return " ".join(finding.sentence for finding in findings if finding.topic == topic)


async def test_the_writer_of_an_applied_schema_finds_nothing_wrong(site: Site) -> None:
    findings = await rehearse(site.writer_url, site.spec.name)
    assert not _faults(findings)
    assert {finding.topic for finding in findings} == {
        "connection", "server", "timescaledb", "durability", "clock", "connections", "schema", "rights",
        "encoding", "writes",
    }  # fmt: skip


async def test_roles_with_too_many_rights_are_warned(site: Site) -> None:
    assert _faults(await rehearse(site.owner_url, site.spec.name)) == {("warning", "rights")}
    findings = await rehearse(site.admin_url, site.spec.name)
    assert "superuser" in _sentence(findings, "rights")


async def test_a_missing_right_is_named(site: Site, owner: Connection) -> None:
    await owner.execute(f"REVOKE DELETE ON ledger FROM {site.roles.writer}")
    await owner.execute(f"REVOKE EXECUTE ON FUNCTION maintain() FROM {site.roles.writer}")
    findings = await rehearse(site.writer_url, site.spec.name)
    assert _faults(findings) == {("problem", "rights")}
    assert "lacks DELETE on ledger, EXECUTE on maintain;" in _sentence(findings, "rights")


async def test_the_reader_is_no_writer(site: Site) -> None:
    findings = await rehearse(site.reader_url, site.spec.name)
    assert ("problem", "schema") in _faults(findings)
    assert ("problem", "rights") in _faults(findings)


async def test_a_database_without_our_schema_is_told_what_to_run(ready: Site) -> None:
    findings = await rehearse(ready.writer_url, ready.spec.name)
    assert _faults(findings) == {("problem", "schema")}
    assert "ingestor schema apply" in _sentence(findings, "schema")


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("DELETE FROM migration WHERE version >= 2", "is at version 1"),
        ("INSERT INTO migration (version, name, checksum, minimum) VALUES (99, 'x', 'x', 99)", "too new"),
    ],
)
async def test_a_schema_of_the_wrong_version_is_a_problem(
    site: Site, owner: Connection, statement: str, text: str
) -> None:
    await owner.execute(statement)
    findings = await rehearse(site.writer_url, site.spec.name)
    assert _faults(findings) == {("problem", "schema")}
    assert text in _sentence(findings, "schema")


async def test_a_schema_of_somebody_else_is_no_traceback(ready: Site) -> None:
    admin = await ready.connect(ready.admin_url)
    await admin.execute(f"CREATE SCHEMA {ready.spec.name}")
    findings = await rehearse(ready.writer_url, ready.spec.name)
    assert _faults(findings) == {("problem", "rights")}
    await admin.execute(f"GRANT USAGE ON SCHEMA {ready.spec.name} TO {ready.roles.writer}")
    await admin.close(timeout=5)
    findings = await rehearse(ready.writer_url, ready.spec.name)
    assert ("problem", "schema") in _faults(findings)


async def test_a_database_without_timescaledb_is_a_problem(ready: Site) -> None:
    admin = await ready.connect(ready.admin_url)
    await admin.execute("DROP EXTENSION timescaledb")
    await admin.close(timeout=5)
    assert ("problem", "timescaledb") in _faults(await rehearse(ready.writer_url, ready.spec.name))


async def test_each_way_not_to_connect_has_its_own_words(ready: Site) -> None:
    await bootstrap(ready.admin_url, ready.roles, ready.spec.name)
    missing = urlunsplit(urlsplit(ready.writer_url)._replace(path="/no_such_database"))
    cases = {
        missing: "does not exist",
        ready.url("no_such_role"): "refuses this user",
        ready.writer_url.replace(":a%27", ":b%27"): "refuses this user",
        "postgresql://a:secret@127.0.0.1:1/x": "nothing listens there",
        "postgresql://a:secret@no-such-host.invalid/x": "no such host",
    }
    for url, text in cases.items():
        (finding,) = await rehearse(url, ready.spec.name)
        assert (finding.level, finding.topic) == ("problem", "connection")
        assert text in finding.sentence
        assert "secret" not in finding.sentence
