"""The custom resource ``Ingestor`` as pydantic models: the one source of the CRD. Pure; knows no cluster."""
