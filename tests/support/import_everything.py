"""Import every module of the packages that are installed: run as a program, with the oldest libraries that we allow."""

import importlib
import pkgutil

PACKAGES = ("analytics", "ingestor", "ingestor_operator")

for package in PACKAGES:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
