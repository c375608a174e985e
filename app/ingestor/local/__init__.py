"""A TimescaleDB on this machine, for ``ingestor dev`` and the tests."""
