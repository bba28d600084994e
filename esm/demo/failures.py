"""Why a demonstration could not take place; an account that does not balance is a result, not a failure."""


class DemoFailed(Exception):
    """The text is for people: what happened, the end of the log, what to do."""
