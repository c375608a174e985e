"""From what is observed to conditions: the one place that says how things stand, and in which words. Pure."""
