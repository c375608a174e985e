"""Measure the service against the physical limit of its design, interleaved in one run."""
