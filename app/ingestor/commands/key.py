"""``ingestor key``: print a fresh idempotency key."""

import typer

from ingestor.keys import mint_key


def key() -> None:
    """Print a fresh idempotency key, for a request and all its retries."""
    typer.echo(mint_key())
