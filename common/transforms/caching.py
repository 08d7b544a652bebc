"""Folders for what is computed once, so that no run reads what another's settings made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def cache_folder(root: str | Path, **made_by: Any) -> Path:
    """A folder whose name changes with whatever decides what lies in it.

    Args:
        root: Where such folders are.
        made_by: Settings, JSON values.
    """
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
    return Path(root) / digest[:16]
