"""What records are delivered to: each kind registers a plugin and passes the suite in `esm.testing`."""
