"""Every metric's definition, and logging. Knows nothing of what it measures."""
