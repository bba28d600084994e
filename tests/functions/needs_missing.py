"""A module that imports one that does not exist."""

import a_module_that_does_not_exist  # type: ignore[import-not-found]  # noqa: F401
