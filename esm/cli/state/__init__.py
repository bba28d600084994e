"""`esm state`: positions in words, moved, passed over, and copied; safe beside a running engine."""
