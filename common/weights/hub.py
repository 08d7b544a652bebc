"""Files of a repository on the Hugging Face hub, whole and checked.

`huggingface_hub` does the work: it resumes what was cut off, shows progress, keeps a cache, sends
the token of `hf auth login` or `HF_TOKEN`, and stays off the network where `HF_HUB_OFFLINE=1`.
Here its many errors become one line each.
"""

from __future__ import annotations

import errno
import fnmatch
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError
from .loading import file_sha256

_SHA256 = re.compile("[0-9a-f]{64}")


def fetch_file(repository: str, pattern: str, *, revision: str = "main", sha256: str = "") -> Path:
    """Download a file, or find it in the cache; see `fetch_files`."""
    return fetch_files(repository, {pattern: sha256}, revision=revision)[pattern]


def fetch_files(
    repository: str, wanted: Mapping[str, str], *, revision: str = "main"
) -> dict[str, Path]:
    """Download files of one commit, or find them in the cache.

    Args:
        repository: `<owner>/<name>`.
        wanted: A file's name, or a pattern that fits exactly one file, such as `*.pth`; and what
            the file must hash to. If empty, the hub's own hash of large files is taken.
        revision: Branch, tag or commit.

    Returns:
        Name or pattern to the file in the cache.

    Raises:
        InputError: If the repository, revision or a file is not there or not open to the user, the
            hub cannot be reached, the disk is full, or a file is not the one that was meant.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        fetched = snapshot_download(repository, revision=revision, allow_patterns=list(wanted))
    except HFValidationError as error:
        msg = f"repository must be <owner>/<name>, got {repository}; correct it"
        raise InputError(msg) from error
    except Exception as error:
        named = ", ".join(wanted)
        raise InputError(_what_happened(error, repository, named, revision)) from error
    folder = Path(fetched)
    found = {}
    for pattern, sha256 in wanted.items():
        fitting = fitting_files(folder, pattern)
        if len(fitting) != 1:
            got = ", ".join(path.relative_to(folder).as_posix() for path in fitting) or "none"
            msg = (
                f"{repository} must hold one file {pattern} at {revision}, got {got}; "
                "name it exactly"
            )
            raise InputError(msg)
        found[pattern] = fitting[0]
        _check(found[pattern], sha256)
    return found


def fitting_files(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder and those below it whose name there fits a pattern, by name."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return [folder / name for name in fnmatch.filter(names, pattern)]


def _check(path: Path, sha256: str) -> None:
    """Compare with the hash that is known; the cache names a large file by the hub's own."""
    stored = path.resolve()
    known = sha256 or (stored.name if _SHA256.fullmatch(stored.name) else "")
    if not known:
        return
    found = file_sha256(stored)
    if found != known:
        stored.unlink()
        msg = (
            f"{path.name} must have sha256 {known}, got {found}; it was removed from the cache: "
            "fetch it again, and if that does not help, tell the publisher"
        )
        raise InputError(msg)


def _what_happened(error: Exception, repository: str, file: str, revision: str) -> str:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return (
            f"{repository} must be open to you, got a gated repository; accept its terms on its "
            "page, then `hf auth login` or set HF_TOKEN"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{repository} must be on the hub, got no such repository or no right to see it; "
            "check the name, and for a private one set HF_TOKEN"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"revision must be in {repository}, got {revision}; see its page for what is there"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            f"the disk must have room for {file} of {repository}, got none left; "
            "free some or set HF_HOME"
        )
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return f"{repository} must hold {file}, got no such file; see its page"
    return (
        f"{file} of {repository} must be in the cache or the hub within reach, got {reason}; "
        "try again, what has come so far is kept"
    )
