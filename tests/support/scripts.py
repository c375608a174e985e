"""Programs in an interpreter of their own: what a process does that forks, ends, or never cleans up."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
TIMEOUT_S = 60.0

_HEAD = """
import asyncio, gc, logging, os, sys, threading
logging.basicConfig(format="%(levelname)s %(message)s")
from ingestor.client import Client
from support.fake_sender import FakeSender
"""


def run_script(body: str) -> subprocess.CompletedProcess[str]:
    """Run a program that uses the client; what it logs is in ``stderr``."""
    return subprocess.run(
        [sys.executable, "-c", _HEAD + body],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
