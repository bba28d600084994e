"""The engine's loops: async, and free of any vendor. Decisions are `esm.core`'s, I/O is behind `esm.ports`."""
