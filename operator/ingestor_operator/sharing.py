"""Find Ingestors that share a schema: they may, as long as they ask for the same."""

from dataclasses import dataclass

from ingestor.schema.spec import SchemaSpec
from ingestor_operator.errors import BlockedError, InvalidSpecError
from ingestor_operator.manifests.facts import Manifest
from ingestor_operator.resource.ingestor import Ingestor, IngestorSpec

Place = tuple[str, int, str, str]
"""Host, port, database and schema."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one Ingestor asks for, and where; ``age`` orders Ingestors, the oldest first."""

    name: str
    age: tuple[str, str]
    place: Place
    desired: SchemaSpec


class Sharing:
    """Reads each generation of each spec once, whoever asks."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, int], _Claim | None] = {}

    def other_users(self, ingestor: Ingestor, spec: IngestorSpec, bodies: list[Manifest]) -> list[str]:
        """Return the names of other Ingestors that write to the same schema and are not being deleted."""
        place = _place_of(ingestor, spec)
        return sorted(claim.name for claim in self._others(ingestor, bodies) if claim.place == place)

    def check_agreement(self, ingestor: Ingestor, spec: IngestorSpec, bodies: list[Manifest]) -> None:
        """Let the oldest Ingestor of a schema decide its shape.

        Raises:
            BlockedError: an older one asks for another shape; both at once would change it to and fro.
        """
        own = _claim(ingestor, spec)
        older = [other for other in self._others(ingestor, bodies) if other.place == own.place and other.age < own.age]
        # The others older than us are bound by the oldest as well: one of them that does not agree has no say.
        oldest = min(older, key=lambda other: other.age, default=own)
        if oldest.desired != own.desired:
            text = f"{oldest.name} is older and asks for another shape of schema {spec.schema_.name}"
            raise BlockedError("SchemaConflict", f"{text}; make both agree, or choose another spec.schema.name")

    def _others(self, ingestor: Ingestor, bodies: list[Manifest]) -> list[_Claim]:
        claims: dict[tuple[str, int], _Claim | None] = {}
        for body in bodies:
            metadata = body["metadata"]
            if "deletionTimestamp" not in metadata:
                version = metadata["uid"], metadata["generation"]
                claims[version] = self._claims[version] if version in self._claims else _read_claim(body)
        self._claims = claims
        return [claim for (uid, _), claim in claims.items() if claim is not None and uid != ingestor.uid]


def _read_claim(body: Manifest) -> _Claim | None:
    """Return what an Ingestor asks for; nothing where its spec is invalid, for then nothing is done for it."""
    ingestor = Ingestor.read(body)
    try:
        return _claim(ingestor, ingestor.parse_spec())
    except InvalidSpecError:
        return None


def _claim(ingestor: Ingestor, spec: IngestorSpec) -> _Claim:
    return _Claim(
        f"{ingestor.namespace}/{ingestor.name}",
        (ingestor.created, ingestor.uid),
        _place_of(ingestor, spec),
        spec.schema_.desired(),
    )


def _place_of(ingestor: Ingestor, spec: IngestorSpec) -> Place:
    """Return what tells one schema from another, as far as specs say: two names of one host look like two."""
    database = spec.database
    if database.host is None:
        return f"{ingestor.namespace}/{database.owner_secret_ref.name}", 0, "", spec.schema_.name
    labels = database.host.lower().removesuffix(".").removesuffix(".cluster.local").removesuffix(".svc").split(".")
    host = f"{labels[0]}.{ingestor.namespace}" if len(labels) == 1 else ".".join(labels)
    return host, database.port, database.name or "", spec.schema_.name
