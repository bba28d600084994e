"""Where records come from: each kind registers a plugin and passes the suite in `esm.testing`."""
