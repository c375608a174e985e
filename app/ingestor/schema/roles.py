"""The three roles that share the schema: one changes it, one writes, one reads."""

from dataclasses import dataclass, field

from ingestor.schema.identifiers import check_role_name, check_schema_name


@dataclass(frozen=True, slots=True)
class Roles:
    """Names and, for bootstrap only, passwords; a password of None is left to the database's administrator.

    Raises:
        ValueError: a name cannot be a role's, or two roles share one.
    """

    owner: str
    writer: str
    reader: str
    owner_password: str | None = field(default=None, repr=False, compare=False)
    writer_password: str | None = field(default=None, repr=False, compare=False)
    reader_password: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in (self.owner, self.writer, self.reader):
            check_role_name(name)
        if len({self.owner, self.writer, self.reader}) < 3:
            raise ValueError("owner, writer and reader must be three different roles")

    @classmethod
    def for_schema(
        cls,
        schema: str,
        owner_password: str | None = None,
        writer_password: str | None = None,
        reader_password: str | None = None,
    ) -> "Roles":
        """Return the roles that a schema has where nobody says otherwise.

        Raises:
            ValueError: ``schema`` is no name that we take.
        """
        check_schema_name(schema)
        return cls(
            owner=f"{schema}_owner",
            writer=f"{schema}_writer",
            reader=f"{schema}_reader",
            owner_password=owner_password,
            writer_password=writer_password,
            reader_password=reader_password,
        )
