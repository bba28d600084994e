"""Where notices of records that were given up go, each kind in a package or module of its own."""
