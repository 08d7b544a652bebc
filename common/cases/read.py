"""Which reader reads a case."""

from __future__ import annotations

from pathlib import Path

from ..case import Case
from ..errors import InputError
from ..files import why_not_regular
from ..formats.dicom import read_dicom
from ..formats.nifti import read_nifti
from ..formats.npz import read_npz
from ..formats.nrrd import read_nrrd
from ..memory import AUTO
from ..naming import shown
from ..volumes.volume import Volume

SUFFIXES = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".npz": "npz",
}
ACCEPTED = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), NPZ (.npz) or a folder of DICOM slices"


def format_of(path: Path) -> str | None:
    """The format that a file's name states; None where its name says nothing known."""
    name = path.name.lower()
    return next((fmt for suffix, fmt in SUFFIXES.items() if name.endswith(suffix)), None)


def draw(case: Case) -> None:
    """Write the file of a synthetic patient that is not drawn yet; any other is left alone.

    The patient's code is imported where it is used alone, here and below: it is a third of ours.

    Raises:
        InputError: If the folder cannot be written.
    """
    if "drawn" in case:
        from ..phantom.export import write_phantom_case

        write_phantom_case(Path(case["image"]).parent, **case["drawn"])


def read_volume(case: Case, *, max_gb: float | str = AUTO) -> Volume:
    """Read the volume of a case.

    Args:
        case: What to read.
        max_gb: Most memory that its voxels may take as stored, see `common.memory`.

    Returns:
        Stored values with their rescale and affine; see `Volume`.

    Raises:
        InputError: If the file is missing, unreadable, damaged, too large or no CT volume.
    """
    path = Path(case["image"])
    name = shown(path)
    try:
        draw(case)
        _check_regular(case)
        return _read(case, path, max_gb)
    except FileNotFoundError as error:
        msg = f"image must exist, got {shown(error.filename or path)}; check the path"
        raise InputError(msg) from error
    except PermissionError as error:
        msg = f"{name} must be readable, got permission denied; change its permissions"
        raise InputError(msg) from error
    except InputError as error:
        raise InputError(shown(error)) from error
    except Exception as error:
        got = f"{type(error).__name__}: {shown(error) or 'no reason given'}"
        msg = f"{name} must be readable, got {got}; copy or convert it again"
        raise InputError(msg) from error


def _check_regular(case: Case) -> None:
    """Refuse what could be read for ever, should a pipe have taken a file's place."""
    if case["format"] == "phantom":
        return
    for file in case.get("files") or [case["image"]]:
        other = why_not_regular(file)
        if other:
            msg = f"{file} must be a file, got {other}; give a file or use find_cases"
            raise InputError(msg)


def _read(case: Case, path: Path, max_gb: float | str) -> Volume:
    match case["format"]:
        case "nifti":
            return read_nifti(
                path, affine=case.get("affine"), rescale=case.get("rescale"), max_gb=max_gb
            )
        case "nrrd":
            return read_nrrd(path, max_gb=max_gb)
        case "npz":
            return read_npz(path, affine=case.get("affine"), max_gb=max_gb)
        case "dicom":
            return read_dicom(
                case["files"],
                name=case["image"],
                frames=case.get("frames"),
                notes=case.get("warnings", ()),
                max_gb=max_gb,
            )
        case "phantom":
            from ..phantom.cases import read_phantom

            return read_phantom(case["image"])
        case unknown:
            known = "nifti, nrrd, npz, dicom or phantom"
            msg = f"format must be {known}, got {unknown!r}; use find_cases"
            raise InputError(msg)
