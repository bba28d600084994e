"""What is asked of the disk by all that keep files: a name that lasts, and what to do about a fault."""

import errno
import os
from pathlib import Path

_NOT_ALLOWED = "let the user that esm runs as write there"

_CURES = {
    errno.ENOENT: "make the directory, or mount what belongs there; esm does not make it",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: _NOT_ALLOWED,
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EISDIR: "name a file",
}


def cure(error: OSError, otherwise: str) -> str:
    """What to do about it; `otherwise` where the fault itself does not say."""
    return _CURES.get(error.errno or 0, otherwise)


def sync_directory(path: Path) -> None:
    """A new file is durable only when its name is. Raises OSError."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
