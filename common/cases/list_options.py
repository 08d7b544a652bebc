"""What goes with a list of scans: where its volumes lie, and its data set's other tables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..case import Rejection
from ..errors import InputError
from ..files import given_path
from ..naming import shown

Missing = Literal["fail", "leave_out"]


@dataclass(frozen=True)
class ListOptions:
    """What goes with a list; see `find_cases`."""

    data_dir: str | os.PathLike[str] | None = None
    reports: str | os.PathLike[str] | None = None
    metadata: str | os.PathLike[str] | None = None
    exclude: str | os.PathLike[str] | None = None
    fibrotic_sequela: str = "scarring"
    medical_material: str = "catheter_or_port"
    missing: Missing = "fail"
    series: str | int = "ask"

    def __post_init__(self) -> None:
        """Refuse empty paths: an option is left out or says something."""
        for name in ("data_dir", "reports", "metadata", "exclude"):
            self.path(name)
        if self.missing not in ("fail", "leave_out"):
            msg = f"missing must be fail or leave_out, got {self.missing!r}; choose one of them"
            raise InputError(msg)

    def path(self, name: str) -> Path | None:
        """One of the options that are paths; None where it was left out."""
        value = getattr(self, name)
        return None if value is None else given_path(value, name=name)

    def folder(self, path: Path) -> Path:
        """Where the volumes of the list `path` lie."""
        folder = self.path("data_dir") or path.parent
        if not folder.is_dir():
            msg = f"data_dir must be a folder, got {shown(folder)}; give the folder of the volumes"
            raise InputError(msg)
        return folder

    def absent(self, path: str | Path, case_id: str, folder: Path) -> Rejection:
        """What a row becomes whose volume is not there."""
        reason = f"listed, but no such volume below {folder}; correct the list or set data_dir"
        return Rejection(str(path), reason, damaged=self.missing == "fail", case_id=case_id)
