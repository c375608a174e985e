"""Take metrics over gRPC and store them in TimescaleDB, fast and exactly once."""
