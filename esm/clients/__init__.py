"""Sessions with the outside, one module per protocol or vendor; sources and targets share them."""
