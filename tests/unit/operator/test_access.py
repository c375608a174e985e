"""Reading an Ingestor's Secrets."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from ingestor_operator.access import AccessReader
from ingestor_operator.errors import BlockedError
from support.fake_cluster import FakeApiServer, fake_cluster
from support.operator_specs import NAMESPACE, read_ingestor


class Site:
    """Secrets, and who reads them."""

    def __init__(self, directory: Path) -> None:
        self.api = FakeApiServer()
        self.reader = AccessReader(fake_cluster(self.api, lambda _kind, _verb: None), directory)

    def add(self, name: str, **values: str) -> None:
        """Store a Secret, or replace it."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        if self.api.get("Secret", NAMESPACE, name):
            self.api.delete("Secret", NAMESPACE, name)
        metadata = {"name": name, "namespace": NAMESPACE}
        self.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    async def read(self, **spec: Any) -> Any:
        """Read what an Ingestor names."""
        ingestor = read_ingestor(**spec)
        return await self.reader.read(ingestor, ingestor.parse_spec())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.add("writer", username="w", password="wp")
    site.add("owner", username="o", password="op")
    return site


async def test_pods_write_as_one_role_and_the_operator_is_another(site: Site) -> None:
    access = await site.read(schema={"name": "x"})
    assert (access.writer.role, access.target.roles.owner, access.target.roles.reader) == ("w", "o", "x_reader")
    assert access.target.owner_url.startswith("postgresql://o:op@timescaledb.team:5432/metrics?")
    assert access.target.spec.name == "x"


async def test_the_hash_for_pods_follows_the_writer_and_the_authorities_but_not_the_owner(site: Site) -> None:
    tls = {"database": {"tls": {"caSecretRef": {"name": "ca"}}}}
    site.add("ca", **{"ca.crt": "first"})
    seen = [(await site.read(**tls)).digest]
    site.add("owner", username="o", password="changed")
    assert (await site.read(**tls)).digest == seen[0]
    site.add("writer", username="w", password="changed")
    seen.append((await site.read(**tls)).digest)
    site.add("ca", **{"ca.crt": "second"})
    seen.append((await site.read(**tls)).digest)
    assert len(set(seen)) == 3


async def test_authorities_are_a_file_that_the_connection_names(site: Site, tmp_path: Path) -> None:
    site.add("ca", **{"root.pem": "PEM"})
    access = await site.read(database={"tls": {"caSecretRef": {"name": "ca", "key": "root.pem"}}})
    (file,) = tmp_path.iterdir()
    assert file.read_text() == "PEM"
    assert file.name in access.target.owner_url


async def test_many_at_once_share_one_file_that_is_whole(site: Site, tmp_path: Path) -> None:
    site.add("ca", **{"ca.crt": "PEM" * 100_000})
    tls = {"database": {"tls": {"caSecretRef": {"name": "ca"}}}}
    await asyncio.gather(*(site.read(**tls) for _ in range(8)))
    assert [len(file.read_text()) for file in tmp_path.iterdir()] == [300_000]


@pytest.mark.parametrize("secret", [None, {}, {"other.crt": "x"}])
async def test_missing_authorities_are_named(site: Site, secret: dict[str, str] | None) -> None:
    if secret is not None:
        site.add("ca", **secret)
    with pytest.raises(BlockedError, match=r"no key ca\.crt in a Secret ca") as refusal:
        await site.read(database={"tls": {"caSecretRef": {"name": "ca"}}})
    assert refusal.value.reason == "SecretNotFound"


async def test_nothing_that_is_shown_holds_a_password(site: Site) -> None:
    access = await site.read()
    assert "wp" not in repr(access.writer)
    assert "op@" not in repr(access)
