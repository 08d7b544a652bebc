"""Names of cases: unique, readable and safe as file names on every system."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

LONGEST_NAME = 100
SPELLED_OUT = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "ß": "ss",
        "ø": "o",
        "Ø": "O",
    }
)


def safe_name(text: str) -> str:
    """Spell a name with letters, digits, dots, dashes and underscores alone."""
    composed = unicodedata.normalize("NFC", text).translate(SPELLED_OUT)
    plain = unicodedata.normalize("NFKD", composed).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("._-")[:LONGEST_NAME] or "case"


def natural_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key in which digits count as numbers: case_9 before case_10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts], name


def unique_names(candidates: Sequence[Sequence[str]]) -> list[str]:
    """Give every case a name of its own.

    Args:
        candidates: For each case, names to try, shortest first.

    Returns:
        One safe name per case: the first candidate that no other case shares at that length; a
        number is appended where even the longest is shared. Upper and lower case count as equal.
    """
    names = [""] * len(candidates)
    open_cases = list(range(len(candidates)))
    for length in range(max((len(names) for names in candidates), default=0)):
        tried = {
            case: safe_name(candidates[case][min(length, len(candidates[case]) - 1)])
            for case in open_cases
        }
        taken = {name.lower() for name in names if name}
        counts = Counter(name.lower() for name in tried.values())
        for case, name in tried.items():
            if counts[name.lower()] == 1 and name.lower() not in taken:
                names[case] = name
        open_cases = [case for case in open_cases if not names[case]]
    taken = {name.lower() for name in names if name}
    for case in open_cases:
        name = safe_name(candidates[case][-1])
        number = 1
        numbered = name
        while numbered.lower() in taken:
            number += 1
            numbered = f"{name}_{number}"
        names[case] = numbered
        taken.add(numbered.lower())
    return names
