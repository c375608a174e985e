"""The ``ingestor`` command: one thin module a subcommand."""
