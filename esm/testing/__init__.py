"""What the engine's own tests are made of, shipped so that sources and targets of others can be tested too.

Virtual time (`loop`), scripted fakes and what goes wrong with them (`faults`), and the conformance suite of each
port: `queue`, `log` and `group` hold both, for a source of that kind.
"""
