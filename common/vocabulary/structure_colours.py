"""One colour per structure of TotalSegmentator, version 2, for overlays, figures and DICOM.

Colours follow what atlases use: arteries red, veins blue, airways and lungs pale blue, gut orange
to brown, muscles dark red, nerves yellow, bones ivory to brown, cartilage grey-green. No two are
the same, and what touches stays apart: the right one of a pair is darker than the left one;
vertebrae and ribs take light and dark in turn while their hue runs along the body, vertebrae from
brown (S1) to yellow (C1), left ribs from sand to olive, right ribs from olive to green. All are
fixed numbers and formulas, the same in every run.
"""

from __future__ import annotations

import colorsys
import zlib

from .snomed import split_side
from .totalsegmentator import BACKGROUND, STRUCTURES

RIGHT_SHADE = 0.74
"""Of the left structure's red, green and blue."""

_BASE: dict[str, tuple[int, int, int]] = {
    "spleen": (156, 88, 168),
    "kidney": (240, 136, 96),
    "gallbladder": (96, 168, 60),
    "liver": (146, 50, 36),
    "stomach": (236, 164, 124),
    "pancreas": (240, 206, 110),
    "adrenal_gland": (250, 180, 30),
    "lung_upper_lobe": (176, 216, 240),
    "lung_middle_lobe": (150, 206, 200),
    "lung_lower_lobe": (116, 170, 220),
    "esophagus": (214, 140, 170),
    "trachea": (190, 240, 246),
    "thyroid_gland": (190, 80, 130),
    "small_bowel": (250, 190, 160),
    "duodenum": (232, 134, 66),
    "colon": (184, 130, 84),
    "urinary_bladder": (228, 222, 80),
    "prostate": (176, 128, 190),
    "kidney_cyst": (60, 232, 206),
    "sacrum": (176, 132, 60),
    "heart": (206, 44, 72),
    "aorta": (230, 24, 24),
    "pulmonary_vein": (250, 130, 130),
    "brachiocephalic_trunk": (255, 84, 50),
    "subclavian_artery": (244, 60, 86),
    "common_carotid_artery": (255, 128, 60),
    "brachiocephalic_vein": (92, 110, 232),
    "atrial_appendage": (240, 110, 170),
    "superior_vena_cava": (40, 70, 190),
    "inferior_vena_cava": (30, 120, 214),
    "portal_vein_and_splenic_vein": (40, 160, 190),
    "iliac_artery": (255, 50, 110),
    "iliac_vena": (110, 90, 214),
    "humerus": (236, 226, 196),
    "scapula": (214, 192, 150),
    "clavicula": (246, 226, 132),
    "femur": (232, 204, 192),
    "hip": (206, 176, 120),
    "spinal_cord": (255, 250, 60),
    "gluteus_maximus": (168, 56, 56),
    "gluteus_medius": (190, 92, 92),
    "gluteus_minimus": (140, 80, 70),
    "autochthon": (196, 84, 60),
    "iliopsoas": (150, 50, 96),
    "brain": (222, 186, 200),
    "skull": (246, 240, 224),
    "sternum": (252, 246, 190),
    "costal_cartilages": (160, 190, 170),
}
_SPINE = tuple(name for name in STRUCTURES if name.startswith("vertebrae_"))
_SPINE_HUES_DEGREES = (16.0, 64.0)
_SPINE_SATURATION = 0.62
_RIB_HUES_DEGREES = {"left": (44.0, 84.0), "right": (96.0, 156.0)}
_RIB_SATURATION = 0.36
_NUM_RIBS = 12
_LIGHTNESS = (0.78, 0.46, 0.68, 0.36)
"""Of neighbouring bones in turn; each differs from the one before and the one after it."""


def structure_colour(name: str) -> tuple[int, int, int]:
    """The colour of one structure.

    Args:
        name: A name of TotalSegmentator version 2, such as `kidney_left`, or any other label's,
            such as `tumour`, whose hue then comes from its letters.

    Returns:
        Red, green and blue (sRGB), each from 0 to 255.
    """
    if name not in STRUCTURES or name == BACKGROUND:
        hue, lightness = divmod(zlib.crc32(name.encode()) % 1080, 3)
        return _srgb(hue_degrees=hue, lightness=0.45 + 0.1 * lightness, saturation=0.9)
    stem, side = split_side(name)
    if name in _SPINE:
        return _bone(
            _SPINE.index(name), len(_SPINE), hues=_SPINE_HUES_DEGREES, saturation=_SPINE_SATURATION
        )
    if stem == "rib" and side is not None:
        number = int(name.rsplit("_", 1)[1])
        return _bone(
            number - 1, _NUM_RIBS, hues=_RIB_HUES_DEGREES[side], saturation=_RIB_SATURATION
        )
    shade = RIGHT_SHADE if side == "right" else 1.0
    red, green, blue = (round(part * shade) for part in _BASE[stem])
    return red, green, blue


def _bone(
    index: int, count: int, *, hues: tuple[float, float], saturation: float
) -> tuple[int, int, int]:
    """Bone `index` of a row of `count`: its hue (degrees) on the way, its lightness in turn."""
    first, last = hues
    hue_degrees = first + index / (count - 1) * (last - first)
    lightness = _LIGHTNESS[index % len(_LIGHTNESS)]
    return _srgb(hue_degrees=hue_degrees, lightness=lightness, saturation=saturation)


def _srgb(*, hue_degrees: float, lightness: float, saturation: float) -> tuple[int, int, int]:
    colour = colorsys.hls_to_rgb(hue_degrees / 360, lightness, saturation)
    red, green, blue = (round(part * 255) for part in colour)
    return red, green, blue
