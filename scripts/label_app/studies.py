"""Where the server's scans lie: a folder of studies, or the cache of a DICOMweb server.

Whatever a client sends as the name of an image, of a label or of a tag, nothing outside that place
is read, and nothing lands outside it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.local import LocalDatastore

SUFFIXES = (".nii.gz", ".nii", ".nrrd")
SERIES_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
LONGEST_HEADER = 1 << 20  # bytes
END_OF_HEADER = re.compile(rb"\n\r?\n")
DETACHED = re.compile(rb"^\s*data\s*file\s*:", re.IGNORECASE | re.MULTILINE)


def plain_name(name: str, kind: str) -> str:
    """`name`, if it names one thing in a folder.

    Raises:
        HTTPException: 400 if it is a path, hidden, or no text to print.
    """
    is_plain = name == Path(name).name and "\\" not in name and name.isprintable()
    if not is_plain or not 0 < len(name) <= 128 or name.startswith("."):
        raise HTTPException(400, f"{kind} must be a name without a path, got {name!r}")
    return name


def checked_image(path: Path) -> Path:
    """`path`, if all that it holds is itself.

    Raises:
        HTTPException: 422 if it is a list of other files, or if it or a file in it points to data
            elsewhere: a symbolic link, or an NRRD header without its voxels.
    """
    if path.is_file() and path.suffix.lower() not in (".gz", ".nii", ".nrrd", ".dcm", ""):
        raise HTTPException(
            422, f"image must be a CT ({', '.join(SUFFIXES)}, DICOM), got {path.name}"
        )
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_symlink() or _is_detached(file):
            reason = "a link" if file.is_symlink() else "an NRRD header alone"
            raise HTTPException(422, f"image must hold its own voxels, got {reason}: {file.name}")
    return path


def _is_detached(file: Path) -> bool:
    if file.suffix.lower() not in (".nrrd", ".nhdr") or not file.is_file():
        return False
    with file.open("rb") as opened:
        start = opened.read(LONGEST_HEADER)
    header, *voxels = END_OF_HEADER.split(start, maxsplit=1)
    return not voxels or DETACHED.search(header) is not None


class StudiesFolder(LocalDatastore):
    """A folder of NIfTI and NRRD files. An image's id is its file's name without the suffix."""

    def _to_id(self, file: str) -> tuple[str, str]:
        suffix = next((each for each in SUFFIXES if file.endswith(each)), Path(file).suffix)
        return file.removesuffix(suffix), suffix

    def _list_files(self, path: str, patterns: Sequence[str]) -> dict[str, str]:
        """Files of a folder, without links that lead out of the studies."""
        listed = super()._list_files(path, patterns)
        return {name: file for name, file in listed.items() if self._holds(Path(path, file))}

    def get_image_uri(self, image_id: str) -> str:
        """Path of an image.

        Raises:
            HTTPException: 404 if there is none of that id, 409 if there are two.
        """
        folder = Path(self._datastore.image_path())
        known = image_id in self._datastore.objects
        names = [image_id + suffix for suffix in SUFFIXES if known]
        found = [folder / name for name in names if (folder / name).is_file()]
        if len(found) > 1:
            both = " and ".join(path.name for path in found)
            raise HTTPException(409, f"image must be one file, got {both}; rename one")
        if not found:
            raise HTTPException(404, f"image must be known to the server, got {image_id!r}")
        return str(self._inside(found[0]))

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Keep a new image.

        Raises:
            HTTPException: 400 if its name or format does not do, 409 if there is one of that id.
        """
        plain_name(image_id, "image")
        suffix = _image_suffix(image_filename)
        folder = Path(self._datastore.image_path())
        if any((folder / (image_id + each)).is_symlink() for each in SUFFIXES) or any(
            (folder / (image_id + each)).exists() for each in SUFFIXES
        ):
            raise HTTPException(409, f"image must be new, got {image_id!r}; choose another name")
        self._inside(folder / (image_id + suffix))
        return str(super().add_image(image_id, image_filename, image_info))

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Path of a label; empty where there is none."""
        path = super().get_label_uri(label_id, label_tag)
        return str(self._inside(Path(path))) if path else ""

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Keep a label of an image.

        Raises:
            HTTPException: 400 if the tag or the format does not do, 404 if the image is unknown.
        """
        plain_name(label_tag, "tag")
        suffix = _image_suffix(label_filename)
        if image_id not in self._datastore.objects:
            raise HTTPException(404, f"image must be known to the server, got {image_id!r}")
        self._inside(Path(self._datastore.label_path(label_tag)) / (image_id + suffix))
        return str(super().save_label(image_id, label_filename, label_tag, label_info))

    def _inside(self, path: Path) -> Path:
        """`path` without links, if that lies in the folder of studies."""
        if not self._holds(path):
            raise HTTPException(404, f"{path.name} must lie in the studies folder, got a link out")
        return path.resolve()

    def _holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(Path(self._datastore_path).resolve())


def _image_suffix(file: str) -> str:
    suffix = next((each for each in SUFFIXES if file.endswith(each)), None)
    if suffix is None:
        got = Path(file).suffix or "none"
        raise HTTPException(400, f"file must end in {', '.join(SUFFIXES)}, got {got}")
    return suffix


class DICOMwebStudies(DICOMWebDatastore):
    """The series of a DICOMweb server, each fetched when first asked for, into a folder of its own.

    An image's id is its series UID.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._one_at_a_time = threading.Lock()

    def get_image_uri(self, image_id: str) -> str:
        """Folder of a series, whole: fetched anew where the server has more of it by now.

        Raises:
            HTTPException: 404 if the server has no such series, 502 if it sends another.
        """
        study, num_instances = self._look_up(image_id)
        folder = Path(self._datastore.image_path()).resolve() / image_id
        with self._one_at_a_time:
            if folder.is_dir() and num_instances in (None, len(list(folder.iterdir()))):
                return str(folder)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as partial:
                fetched = Path(partial, image_id)
                fetched.mkdir()
                self._fetch(study, image_id, fetched)
                shutil.rmtree(folder, ignore_errors=True)
                fetched.rename(folder)
        return str(folder)

    def get_label_uri(self, label_id: str, label_tag: str, image_id: str = "") -> str:
        """Path of a label in the cache; empty where there is none."""
        return str(LocalDatastore.get_label_uri(self, label_id, label_tag))

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Nothing: images come from the DICOMweb server.

        Raises:
            HTTPException: 405.
        """
        raise HTTPException(405, "image must come from the DICOMweb server; store it there")

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Nothing: a viewer stores its DICOM segmentation in the DICOMweb server itself.

        Raises:
            HTTPException: 405.
        """
        raise HTTPException(405, "label must go to the DICOMweb server; store it there")

    def _look_up(self, series: str) -> tuple[str, int | None]:
        """Study UID and number of instances of a series, as the server tells."""
        if len(series) > 64 or not SERIES_UID.fullmatch(series):
            raise HTTPException(404, f"image must be a series UID, got {series!r}")
        answers = self._client.search_for_series(search_filters={"SeriesInstanceUID": series})
        found = [each for each in answers if _value(each, "0020000E") == series]
        if not found:
            raise HTTPException(404, f"image must be known to the DICOMweb server, got {series!r}")
        number = _value(found[0], "00201209")
        return str(_value(found[0], "0020000D")), None if number is None else int(number)

    def _fetch(self, study: str, series: str, folder: Path) -> None:
        for index, instance in enumerate(self._client.retrieve_series(study, series)):
            if instance.SeriesInstanceUID != series:
                raise HTTPException(502, f"the DICOMweb server sent another series than {series}")
            instance.save_as(folder / f"{index:05d}.dcm")


def _value(answer: dict[str, Any], tag: str) -> Any:
    return next(iter(answer.get(tag, {}).get("Value", [])), None)
