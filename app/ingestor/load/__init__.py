"""The client side: send this machine's metrics, or synthetic series, and report what became of them."""
