"""From request bytes to batches and back to answers. Knows neither gRPC nor SQL."""
