"""The YAML: read with line marks, checked whole, and turned into what the engine runs.

`load` says everything that is wrong at once, as `file:line: path: what is wrong, what is allowed`; `assemble`
makes the engine's plan of what it returns. Neither talks to a source or a target.
"""

from esm.config.assemble import assemble
from esm.config.catalog import Catalog
from esm.config.load import Loaded, load
from esm.config.models import Config
from esm.config.schema import json_schema

__all__ = ["Catalog", "Config", "Loaded", "assemble", "json_schema", "load"]
