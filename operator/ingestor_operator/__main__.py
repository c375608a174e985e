"""The command ``ingestor-operator``."""

import asyncio
import sys

import typer
import uvloop

from ingestor.streams import prepare_streams
from ingestor.telemetry.logging import configure_logging
from ingestor_operator.cluster import INGESTORS, connected
from ingestor_operator.config import WatchSettings, load_settings
from ingestor_operator.errors import NotFoundError, OperatorError
from ingestor_operator.resource.ingestor import FINALIZER
from ingestor_operator.runtime import Runtime

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run ingestors on Kubernetes.")


@app.command()
def run() -> None:
    """Keep Ingestors as they ask to be; settings are INGESTOR_OPERATOR_* variables."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    uvloop.run(Runtime(settings).run())


@app.command()
def check_uninstall() -> None:
    """Name the Ingestors that would hang without an operator; exit 1 where there are any."""
    held = asyncio.run(_held(WatchSettings().namespace_list))
    if not held:
        return
    typer.echo("These Ingestors drop their data when they are deleted, which needs the operator:", err=True)
    for name in held:
        typer.echo(f"  {name}", err=True)
    typer.echo("Delete them first, or set their spec.schema.reclaimPolicy to Retain, then uninstall again;", err=True)
    typer.echo("`helm uninstall --no-hooks` leaves them as they are.", err=True)
    raise typer.Exit(1)


async def _held(namespaces: list[str]) -> list[str]:
    async with connected(_ignore) as cluster:
        try:
            bodies = [body for name in namespaces or ["*"] for body in await cluster.list_objects(INGESTORS, name)]
        except NotFoundError:  # the CRD is gone, and all Ingestors with it
            return []
    metadata = [body["metadata"] for body in bodies if FINALIZER in (body["metadata"].get("finalizers") or [])]
    return [f"{item['namespace']}/{item['name']}" for item in metadata]


def _ignore(kind: str, verb: str) -> None:
    pass


def main() -> None:
    """Run the command; an error of ours is one line and exit code 2."""
    prepare_streams()
    try:
        app()
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
