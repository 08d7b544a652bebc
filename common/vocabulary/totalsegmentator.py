"""TotalSegmentator's structures: names by number in version 2 and 1, groups, and what is one piece.

Source: TotalSegmentator's class map (Wasserthal et al., arXiv 2208.05868; CC BY 4.0). Only numbers
1 to 6 mean the same in both versions: 7 is the pancreas in version 2 and the aorta in version 1.
"""

from __future__ import annotations

from collections.abc import Mapping

BACKGROUND = "background"


def _pairs(*names: str, first: str = "left") -> tuple[str, ...]:
    sides = ("left", "right") if first == "left" else ("right", "left")
    return tuple(f"{name}_{side}" for name in names for side in sides)


_VERTEBRAE = tuple(
    f"vertebrae_{region}{number}"
    for region, last in (("L", 5), ("T", 12), ("C", 7))
    for number in range(last, 0, -1)
)
_RIBS = tuple(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13))
_LUNG_LOBES = (
    "lung_upper_lobe_left", "lung_lower_lobe_left",
    "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right",
)  # fmt: skip
_GLUTEI = _pairs("gluteus_maximus", "gluteus_medius", "gluteus_minimus")
_ILIAC_VESSELS = _pairs("iliac_artery", "iliac_vena")

STRUCTURES: tuple[str, ...] = (
    BACKGROUND, "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach",
    "pancreas", "adrenal_gland_right", "adrenal_gland_left", *_LUNG_LOBES, "esophagus", "trachea",
    "thyroid_gland", "small_bowel", "duodenum", "colon", "urinary_bladder", "prostate",
    "kidney_cyst_left", "kidney_cyst_right", "sacrum", "vertebrae_S1", *_VERTEBRAE, "heart",
    "aorta", "pulmonary_vein", "brachiocephalic_trunk",
    *_pairs("subclavian_artery", "common_carotid_artery", first="right"),
    *_pairs("brachiocephalic_vein"), "atrial_appendage_left", "superior_vena_cava",
    "inferior_vena_cava", "portal_vein_and_splenic_vein", *_ILIAC_VESSELS,
    *_pairs("humerus", "scapula", "clavicula", "femur", "hip"), "spinal_cord", *_GLUTEI,
    *_pairs("autochthon", "iliopsoas"), "brain", "skull", *_RIBS, "sternum", "costal_cartilages",
)  # fmt: skip
"""Version 2, by number: 0 background, 1 to 117 structures; the network's channel order."""

STRUCTURES_V1: tuple[str, ...] = (
    BACKGROUND, "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach",
    "aorta", "inferior_vena_cava", "portal_vein_and_splenic_vein", "pancreas",
    "adrenal_gland_right", "adrenal_gland_left", *_LUNG_LOBES, *_VERTEBRAE, "esophagus", "trachea",
    "heart_myocardium", "heart_atrium_left", "heart_ventricle_left", "heart_atrium_right",
    "heart_ventricle_right", "pulmonary_artery", "brain", *_ILIAC_VESSELS, "small_bowel",
    "duodenum", "colon", *_RIBS, *_pairs("humerus", "scapula", "clavicula", "femur", "hip"),
    "sacrum", "face", *_GLUTEI, *_pairs("autochthon", "iliopsoas"), "urinary_bladder",
)  # fmt: skip
"""Version 1, by number: 0 background, 1 to 104 structures."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "organs_v1": STRUCTURES_V1[1:18],
    "vertebrae_v1": STRUCTURES_V1[18:42],
    "cardiac_v1": (*STRUCTURES_V1[42:58], "face", "urinary_bladder"),
    "muscles_v1": (*STRUCTURES_V1[82:93], *STRUCTURES_V1[94:104]),
    "ribs_v1": _RIBS,
    "merlin": (*STRUCTURES[1:8], *STRUCTURES[18:23], *STRUCTURES[25:33]),
}
"""Published groups, in channel order from 1. `*_v1` names are of version 1, `merlin`'s of 2."""

MANY_PIECES: frozenset[str] = frozenset(
    {"small_bowel", "colon", "kidney_cyst_left", "kidney_cyst_right", "costal_cartilages",
     "pulmonary_vein", "portal_vein_and_splenic_vein", "skull"}
)  # fmt: skip
"""Structures that may rightly lie apart; of every other only the largest piece is kept."""
