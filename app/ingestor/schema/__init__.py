"""What the database must look like, and the safe way there. Knows neither gRPC nor the pipeline."""
