"""A TimescaleDB on this machine, for ``ingestor dev`` and the tests."""

from ingestor.local.account import default_cache
from ingestor.local.database import AdminDatabase, running_database
from ingestor.local.instance import InstanceBusyError
from ingestor.local.server import LocalServer

__all__ = ["AdminDatabase", "InstanceBusyError", "LocalServer", "default_cache", "running_database"]
