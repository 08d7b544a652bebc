"""SNOMED CT codes of TotalSegmentator's structures, version 2, for DICOM objects.

Every value and meaning stands so in DICOM's own context groups, as pydicom lists them; none is
made up. A side is a modifier (Left, Right) beside the code, never part of another code's place.

No exact concept is in those tables for the following, so they bear the nearest structure that
contains them, and only the segment's label (the structure's name) tells them apart:

- rib_left_1 to rib_left_12 and rib_right_1 to rib_right_12: Rib, with its side;
- vertebrae_S1: Sacrum;
- hip_left, hip_right (hip bones): Pelvis, as DICOM words the bone structure of the pelvis;
- gluteus_maximus, gluteus_medius, gluteus_minimus and iliopsoas, left and right: Muscle of lower
  limb;
- autochthon_left, autochthon_right (deep muscles of the back): Skeletal muscle;
- portal_vein_and_splenic_vein: Vein, as neither of the two is the whole.

Cysts are the morphologically abnormal structure Cyst in the anatomic region Kidney.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import InputError
from .totalsegmentator import BACKGROUND, STRUCTURES


class Code(NamedTuple):
    """One coded concept, in the order in which DICOM libraries take it."""

    value: str
    scheme: str
    meaning: str


class StructureCode(NamedTuple):
    """What a segment is.

    Attributes:
        category: Anatomical structure, or morphologically abnormal structure.
        type: The structure, or the nearest one that contains it.
        side: Left or Right; None where the structure's name has no side.
        region: Where in the body an abnormal structure lies; None for anatomy.
    """

    category: Code
    type: Code
    side: Code | None
    region: Code | None


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


ANATOMY = _sct("91723000", "Anatomical Structure")
ABNORMAL = _sct("49755003", "Morphologically Abnormal Structure")
_SIDES = {"left": _sct("7771000", "Left"), "right": _sct("24028007", "Right")}
_KIDNEY = _sct("64033007", "Kidney")
_LEG_MUSCLE = _sct("102292000", "Muscle of lower limb")
_UPPER_LOBE = _sct("45653009", "Upper lobe of lung")
_LOWER_LOBE = _sct("90572001", "Lower lobe of lung")

_TYPES = {
    "spleen": _sct("78961009", "Spleen"),
    "kidney": _KIDNEY,
    "gallbladder": _sct("28231008", "Gallbladder"),
    "liver": _sct("10200004", "Liver"),
    "stomach": _sct("69695003", "Stomach"),
    "pancreas": _sct("15776009", "Pancreas"),
    "adrenal_gland": _sct("23451007", "Adrenal gland"),
    "lung_upper_lobe": _UPPER_LOBE,
    "lung_middle_lobe": _sct("72481006", "Middle lobe of right lung"),
    "lung_lower_lobe": _LOWER_LOBE,
    "esophagus": _sct("32849002", "Esophagus"),
    "trachea": _sct("44567001", "Trachea"),
    "thyroid_gland": _sct("69748006", "Thyroid"),
    "small_bowel": _sct("30315005", "Small intestine"),
    "duodenum": _sct("38848004", "Duodenum"),
    "colon": _sct("71854001", "Colon"),
    "urinary_bladder": _sct("89837001", "Bladder"),
    "prostate": _sct("41216001", "Prostate"),
    "kidney_cyst": _sct("367643001", "Cyst"),
    "sacrum": _sct("54735007", "Sacrum"),
    "vertebrae_S1": _sct("54735007", "Sacrum"),
    "vertebrae_L5": _sct("49668003", "L5 vertebra"),
    "vertebrae_L4": _sct("11994002", "L4 vertebra"),
    "vertebrae_L3": _sct("36470004", "L3 vertebra"),
    "vertebrae_L2": _sct("14293000", "L2 vertebra"),
    "vertebrae_L1": _sct("66794005", "L1 vertebra"),
    "vertebrae_T12": _sct("23215003", "T12 vertebra"),
    "vertebrae_T11": _sct("12989004", "T11 vertebra"),
    "vertebrae_T10": _sct("7610001", "T10 vertebra"),
    "vertebrae_T9": _sct("82687006", "T9 vertebra"),
    "vertebrae_T8": _sct("11068009", "T8 vertebra"),
    "vertebrae_T7": _sct("62487009", "T7 vertebra"),
    "vertebrae_T6": _sct("45296009", "T6 vertebra"),
    "vertebrae_T5": _sct("56401006", "T5 vertebra"),
    "vertebrae_T4": _sct("73071006", "T4 vertebra"),
    "vertebrae_T3": _sct("1626008", "T3 vertebra"),
    "vertebrae_T2": _sct("53733008", "T2 vertebra"),
    "vertebrae_T1": _sct("64864005", "T1 vertebra"),
    "vertebrae_C7": _sct("87391001", "C7 vertebra"),
    "vertebrae_C6": _sct("36054005", "C6 vertebra"),
    "vertebrae_C5": _sct("36978003", "C5 vertebra"),
    "vertebrae_C4": _sct("5329002", "C4 vertebra"),
    "vertebrae_C3": _sct("113205007", "C3 vertebra"),
    "vertebrae_C2": _sct("39976000", "C2 vertebra"),
    "vertebrae_C1": _sct("14806007", "C1 vertebra"),
    "heart": _sct("80891009", "Heart"),
    "aorta": _sct("15825003", "Aorta"),
    "pulmonary_vein": _sct("122972007", "Pulmonary vein"),
    "brachiocephalic_trunk": _sct("12691009", "Innominate artery"),
    "subclavian_artery": _sct("36765005", "Subclavian artery"),
    "common_carotid_artery": _sct("32062004", "Common carotid artery"),
    "brachiocephalic_vein": _sct("8887007", "Innominate vein"),
    "atrial_appendage": _sct("33626005", "Left auricular appendage"),
    "superior_vena_cava": _sct("48345005", "Superior vena cava"),
    "inferior_vena_cava": _sct("64131007", "Inferior vena cava"),
    "portal_vein_and_splenic_vein": _sct("29092000", "Vein"),
    "iliac_artery": _sct("10293006", "Iliac artery"),
    "iliac_vena": _sct("244411005", "Iliac vein"),
    "humerus": _sct("85050009", "Humerus"),
    "scapula": _sct("79601000", "Scapula"),
    "clavicula": _sct("51299004", "Clavicle"),
    "femur": _sct("71341001", "Femur"),
    "hip": _sct("118645006", "Pelvis"),
    "spinal_cord": _sct("2748008", "Spinal cord"),
    "gluteus_maximus": _LEG_MUSCLE,
    "gluteus_medius": _LEG_MUSCLE,
    "gluteus_minimus": _LEG_MUSCLE,
    "autochthon": _sct("127954009", "Skeletal muscle"),
    "iliopsoas": _LEG_MUSCLE,
    "brain": _sct("12738006", "Brain"),
    "skull": _sct("89546000", "Skull"),
    "rib": _sct("113197003", "Rib"),
    "sternum": _sct("56873002", "Sternum"),
    "costal_cartilages": _sct("50016007", "Costal Cartilage"),
}

_NEAREST = {"rib", "vertebrae_S1", "hip", "gluteus_maximus", "gluteus_medius", "gluteus_minimus",
            "iliopsoas", "autochthon", "portal_vein_and_splenic_vein"}  # fmt: skip


def split_side(name: str) -> tuple[str, str | None]:
    """A structure's name without side and rib number, and its side: `("rib", "left")`."""
    found = re.fullmatch(r"(.+)_(left|right)(_\d+)?", name)
    return (found[1], found[2]) if found else (name, None)


def structure_code(name: str) -> StructureCode:
    """The codes of one structure.

    Args:
        name: A name of TotalSegmentator version 2, such as `kidney_left`.

    Raises:
        InputError: If there is no structure of that name.
    """
    if name not in STRUCTURES or name == BACKGROUND:
        msg = f"name must be a structure of TotalSegmentator version 2, got {name}; mend it"
        raise InputError(msg)
    stem, side = split_side(name)
    is_cyst = stem == "kidney_cyst"
    return StructureCode(
        category=ABNORMAL if is_cyst else ANATOMY,
        type=_TYPES[stem],
        side=_SIDES[side] if side else None,
        region=_KIDNEY if is_cyst else None,
    )


INEXACT: frozenset[str] = frozenset(name for name in STRUCTURES if split_side(name)[0] in _NEAREST)
"""Structures whose code names what contains them; see the module's docstring."""
