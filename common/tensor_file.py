"""Tensors in torch's own file form, whole or absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .atomic import replacing


def write_tensors(path: str | Path, content: Any) -> None:
    """Write what `torch.save` can, whole or not at all.

    Given a path, torch says of a full disk that a position was unexpected; given a file, it hides
    the same sentence before the system's own error.

    Args:
        path: The file to make or to replace.
        content: Tensors, and dictionaries and lists of them and of plain values.

    Raises:
        InputError: If the place cannot be written (no permission, disk full, not a folder, ...).
    """
    with replacing(path) as partial:
        try:
            with partial.open("wb") as file:
                torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
