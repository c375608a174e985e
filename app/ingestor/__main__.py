"""The ``ingestor`` command."""

import errno
import os
import sys

import typer

from ingestor.commands.bench import bench
from ingestor.commands.check import check
from ingestor.commands.dev import dev
from ingestor.commands.key import key
from ingestor.commands.load import load
from ingestor.commands.schema import schema_app
from ingestor.commands.serve import serve
from ingestor.errors import IngestorError
from ingestor.streams import prepare_streams

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A file that takes no more."""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.command()(serve)
app.command()(dev)
app.command()(load)
app.command()(check)
app.command()(key)
app.command()(bench)
app.add_typer(schema_app, name="schema")


@app.callback()
def describe() -> None:
    """Metrics over gRPC into TimescaleDB, fast and exactly once."""


def main() -> None:
    """Run the command line; an error of ours is one line that says what to do."""
    prepare_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except IngestorError as error:
        _end(str(error))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again at exit
        _end(f"the output can't be written ({error.strerror}); what was asked for may be done")


def _end(words: str) -> None:
    print(f"ingestor: {words}", file=sys.stderr)  # noqa: T201 - the command line's own output
    sys.exit(1)


if __name__ == "__main__":
    main()
