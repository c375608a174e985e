"""The edge: gRPC services, their statuses, and the HTTP endpoints. Knows no SQL."""
