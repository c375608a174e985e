"""The client: batches points, sends them until they are answered, and tells what became of them."""
