"""What the user points at: files, folders, series and lists become named cases."""

from .find import find_cases
from .read import read_volume

__all__ = ["find_cases", "read_volume"]
