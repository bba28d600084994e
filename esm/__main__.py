"""`python -m esm` is the command `esm`, wherever the scripts of the environment are."""

from esm.cli import main

main()
