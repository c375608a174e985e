"""Read an Ingestor's Secrets: who pods write as, who owns the schema, and whom to trust."""

import asyncio
import base64
import binascii
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ingestor_operator.cluster import Cluster
from ingestor_operator.credentials import Credentials, read_credentials
from ingestor_operator.database import Before, Target, roles_of
from ingestor_operator.errors import BlockedError
from ingestor_operator.resource.database import CaSecretRef
from ingestor_operator.resource.ingestor import Ingestor, IngestorSpec


@dataclass(frozen=True, slots=True)
class Access:
    """The writer's credentials for the pods, and the schema with its owner's for the operator."""

    writer: Credentials
    target: Target
    ca_digest: str

    @property
    def digest(self) -> str:
        """Return a hash that changes with anything that pods read at their start."""
        return self.writer.digest + self.ca_digest


@dataclass(frozen=True, slots=True)
class AccessReader:
    """Reads Secrets by name, each time anew; certificates are kept as files in ``directory`` for TLS to read."""

    cluster: Cluster
    directory: Path

    async def read(self, ingestor: Ingestor, spec: IngestorSpec) -> Access:
        """Return what the Secrets say.

        Raises:
            BlockedError: a Secret, or a key in one, is missing or unusable.
            ClusterError: the API server could not be asked.
        """
        database = spec.database
        ca_digest, ca_file = "", ""
        if database.tls.ca_secret_ref is not None:
            ca_digest, ca_file = await self._authorities(ingestor.namespace, database.tls.ca_secret_ref)
        owner_name, writer_name = database.owner_secret_ref.name, database.writer_secret_ref.name
        owner_secret = await self.cluster.read_secret(ingestor.namespace, owner_name)
        writer_secret = await self.cluster.read_secret(ingestor.namespace, writer_name)
        owner = read_credentials(owner_secret, owner_name, database, namespace=ingestor.namespace, ca_file=ca_file)
        writer = read_credentials(writer_secret, writer_name, database, namespace=ingestor.namespace, ca_file=ca_file)
        schema = spec.schema_
        roles = roles_of(owner.role, writer.role, database.reader_role, schema.name)
        seen = ingestor.status.get("schema") or {}
        target = Target(
            owner.url,
            roles,
            schema.desired(),
            schema.management_policy,
            schema.approved_plan,
            schema.drift_policy,
            Before(seen.get("database", ""), seen.get("applied", "")),
        )
        return Access(writer, target, ca_digest)

    async def _authorities(self, namespace: str, reference: CaSecretRef) -> tuple[str, str]:
        """Return a hash of the certificates and the file that holds them."""
        secret = await self.cluster.read_secret(namespace, reference.name)
        encoded = ((secret or {}).get("data") or {}).get(reference.key)
        if not encoded:
            text = f"spec.database.tls.caSecretRef: there is no key {reference.key} in a Secret {reference.name}"
            raise BlockedError("SecretNotFound", f"{text}; create it")
        try:
            content = base64.b64decode(encoded)
        except binascii.Error:
            raise BlockedError(
                "SecretInvalid",
                f"Secret {reference.name}: {reference.key} is no PEM; correct it",
            ) from None
        digest = hashlib.sha256(content).hexdigest()[:16]
        path = self.directory / f"{digest}.crt"
        await asyncio.to_thread(_write_once, path, content)
        return digest, str(path)


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all: Ingestors that share it are worked on at the same time."""
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
