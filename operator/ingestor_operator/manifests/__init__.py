"""From an Ingestor to the Kubernetes objects that belong to it. Pure; one function an object."""
