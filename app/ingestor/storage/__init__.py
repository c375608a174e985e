"""One flush as one database transaction. Knows neither gRPC nor protobuf."""
