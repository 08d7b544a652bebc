"""What a scan is called: told by where it lies and what lies around, not by where one looks from.

A scan is called by its file, or a series by its folder. Where another scan close by is called the
same (`p1/ct.nii.gz` and `p2/ct.nii.gz`), the folders that tell them apart go before: `p1_ct`. Close
by is what lies below the third folder above the scan's own, so that one patient's scan has the same
name alone and among all patients, in one run and in the next.
"""

# Paths are text here: ten times as fast where there are thousands.
# ruff: noqa: PTH100, PTH111, PTH112, PTH113, PTH118, PTH119, PTH120, PTH206

from __future__ import annotations

import functools
import os
import tempfile
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..case import Case
from ..files import Listing, list_folder
from ..formats.ct_series import Series
from ..formats.dicom_file import is_dicom
from ..formats.dicom_header import read_slice_headers
from ..formats.evidence import why_no_ct
from ..naming import natural_order, safe_name, short_hash
from .read import SUFFIXES, format_of

LEVELS = 3  # patient, session, kind: no common layout has more folders between its scans
MOST_FOLDERS = 1000  # a look around is bounded; whoever looks from where, it is the same thousand
MOST_NAMESAKES = 8
# Folders whose own subfolders have nothing to do with each other.
NO_DATA_SETS = (os.path.abspath(os.sep), os.path.expanduser("~"), tempfile.gettempdir())
MOST_HEADERS = 8
NO_SLICES = (".json", ".csv", ".txt", ".png", ".jpg", ".pdf", ".md", ".xml", ".html", ".py")

Keys = tuple[str, ...]


def bare_name(path: Path) -> str:
    """A file's name without the suffix of its format; that of a folder as it is."""
    return _bare(path.name)


class _Folder(NamedTuple):
    """One folder, each name with its key: names of the same key cannot stand side by side."""

    volumes: list[tuple[str, str]]
    folders: list[tuple[str, str]]
    slices: list[str]


@dataclass
class _Around:
    """What lies below one folder and may be a scan, by the key of its own name."""

    folders: list[tuple[str, Keys]] = field(default_factory=list)
    leaves: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    tails: dict[str, dict[Keys, list[str]]] = field(default_factory=dict)

    def ending(self, keys: Keys) -> list[str]:
        """Paths that end in `keys`, some of them where they are many."""
        leaf = keys[-1]
        if leaf not in self.tails:
            tails: dict[Keys, list[str]] = defaultdict(list)
            for index, name in self.leaves.get(leaf, ()):
                folder, above = self.folders[index]
                whole = (*above, leaf) if name else above
                for length in range(1, min(LEVELS, len(whole)) + 1):
                    paths = tails[whole[-length:]]
                    if len(paths) < MOST_NAMESAKES:
                        paths.append(os.path.join(folder, name) if name else folder)
            self.tails[leaf] = tails
        return self.tails[leaf].get(keys, [])


class CaseNames:
    """Names of scans; what was looked at once is remembered.

    `names_of` gives the names that a scan can have, shortest first. The first is its name unless
    it meets a scan from farther away in one list.
    """

    def __init__(self) -> None:
        self._scans: dict[str, bool] = {}
        self._folders: dict[str, _Folder] = {}
        self._around: dict[tuple[str, int], _Around] = {}
        self._inside: dict[str, dict[str, list[str]]] = {}

    def remember(self, path: Path, *, is_scan: bool) -> None:
        """Save a second look at a file that was looked at anyway."""
        self._scans[os.path.abspath(path)] = is_scan

    def names_of(self, path: Path) -> list[str]:
        """Names for a file or a series' folder, up to its whole path."""
        text = os.path.abspath(path)
        _, *parents, name = text.split(os.sep)
        keys = (*map(_key, parents[-LEVELS:]), _key(_bare(name)))
        length = 0
        top = os.path.dirname(text)
        for level in range(1, LEVELS + 1):
            top = os.path.dirname(top)
            if top in NO_DATA_SETS:
                break
            around = self._look_around(top, level)
            while length < level and self._has_namesake(
                text, _elsewhere(text, around.ending(keys[-1 - length :]))
            ):
                length += 1
        own = self._own_name(text)
        return [
            "_".join((*parents[len(parents) - count :], own))
            for count in range(length, len(parents) + 1)
        ]

    def series_names(self, found: Sequence[Series]) -> list[list[str]]:
        """Names for each of the series that were found, before any is chosen.

        Where a folder holds several, each has its number (and part) in its name.
        """
        in_folder: dict[Path, list[Series]] = defaultdict(list)
        for series in found:
            in_folder[series.folder].append(series)
        return [
            [f"{name}{_mark(series, in_folder[series.folder])}" for name in names]
            for series in found
            for names in [self.names_of(series.folder)]
        ]

    def _own_name(self, path: str) -> str:
        """The bare name, or more where another scan in the same folder has it too."""
        folder, name = os.path.split(path)
        bare = _bare(name)
        twins = self._entries(folder).get(_key(bare), [])
        if not self._has_namesake(path, twins):
            return bare
        if os.path.isdir(path):
            full = bare
            others = [twin for twin in twins if os.path.isdir(twin)]
        else:
            full = name
            others = [twin for twin in twins if _key(os.path.basename(twin)) == _key(name)]
        return f"{full}_{short_hash(name)}" if self._has_namesake(path, others) else full

    def _has_namesake(self, path: str, others: Sequence[str]) -> bool:
        return any(
            other != path
            and self._is_scan(other)
            and os.path.realpath(other) != os.path.realpath(path)
            for other in others
        )

    def _look_around(self, top: str, level: int) -> _Around:
        """What lies below `top`, to one folder deeper than `level`."""
        if (top, level) not in self._around:
            leaves: dict[str, list[tuple[int, str]]] = defaultdict(list)
            around = _Around(leaves=leaves)
            waiting: deque[tuple[str, Keys]] = deque([(top, ())])
            while waiting and len(around.folders) < MOST_FOLDERS:
                path, keys = waiting.popleft()
                index = len(around.folders)
                around.folders.append((path, keys))
                folder = self._folder(path)
                for key, name in folder.volumes:
                    leaves[key].append((index, name))
                if keys and folder.slices:
                    leaves[keys[-1]].append((index, ""))
                if len(keys) <= level:
                    below = ((os.path.join(path, name), key) for key, name in folder.folders)
                    waiting += [(place, (*keys, key)) for place, key in below]
            self._around[top, level] = around
        return self._around[top, level]

    def _entries(self, path: str) -> dict[str, list[str]]:
        """What may be scans directly in a folder, by their keys."""
        if path not in self._inside:
            entries: dict[str, list[str]] = defaultdict(list)
            folder = self._folder(path)
            for key, name in (*folder.volumes, *folder.folders):
                entries[key].append(os.path.join(path, name))
            self._inside[path] = entries
        return self._inside[path]

    def _folder(self, path: str) -> _Folder:
        if path not in self._folders:
            try:
                listing = list_folder(path)
            except OSError:
                listing = Listing([], [], [])
            self._folders[path] = _Folder(
                [(_key(_bare(name)), name) for name in listing.files if _is_volume(name)],
                [(_key(name), name) for name in listing.folders],
                [name for name in listing.files if _may_be_slice(name)],
            )
        return self._folders[path]

    def _is_scan(self, path: str) -> bool:
        if path not in self._scans:
            try:
                self._scans[path] = self._holds_ct(path)
            except Exception:  # what cannot be read is no other scan
                self._scans[path] = False
        return self._scans[path]

    def _holds_ct(self, path: str) -> bool:
        volume = format_of(Path(path))
        if volume is not None and os.path.isfile(path):
            return not why_no_ct(Case(case_id="", image=path, format=volume))
        files = sorted(self._folder(path).slices, key=natural_order)[:MOST_HEADERS]
        return any(
            not header.refusal
            for file in (Path(path, name) for name in files)
            if is_dicom(file)
            for header in read_slice_headers(file)
        )


def _elsewhere(path: str, others: Sequence[str]) -> list[str]:
    folder = os.path.dirname(path)
    return [other for other in others if os.path.dirname(other) != folder]


@functools.lru_cache(maxsize=1 << 16)
def _key(name: str) -> str:
    return safe_name(name).lower()


def _is_volume(name: str) -> bool:
    return name.lower().endswith(tuple(SUFFIXES))


def _bare(name: str) -> str:
    if not _is_volume(name):
        return name
    return name.rsplit(".", 2 if name.lower().endswith(".gz") else 1)[0]


def _may_be_slice(name: str) -> bool:
    return not name.lower().endswith((*SUFFIXES, *NO_SLICES))


def _mark(series: Series, beside: Sequence[Series]) -> str:
    """What tells a series from others in its folder: its number, part, and digits of its UID."""
    number = "" if series.number is None else f"_series{series.number}"
    part = f"_part{series.part}" if series.part else ""
    if len(beside) == 1:
        return part
    same = [one for one in beside if (one.number, one.part) == (series.number, series.part)]
    own = f"_{short_hash(series.uid or ' '.join(Path(file).name for file in series.files))}"
    return f"{number}{part}{own if len(same) > 1 else ''}"
