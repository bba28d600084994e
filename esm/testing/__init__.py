"""What the engine's own tests are made of, shipped so that sources and targets of others can be tested too.

Virtual time, scripted fakes of queue and target, and the conformance suite of each port.
"""
