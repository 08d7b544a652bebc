"""Names: of cases, unique, readable and safe as file names on every system; and names as shown."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

LONGEST_NAME = 100
ALREADY_SAFE = re.compile(r"[A-Za-z0-9](?:_?[A-Za-z0-9.-])*(?<![.-])")
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
        "ł": "l",
        "Ł": "L",
    }
)


def shown(text: object) -> str:
    r"""A path or message as one printable line, for logs, messages and tables.

    New lines and other control characters become backslash escapes, and so do the bytes of a name
    that is not UTF-8 (`\xff`). What is shown is not for opening: keep the true path for that.
    """
    escaped = []
    for char in str(text):
        if "\udc80" <= char <= "\udcff":  # how Python keeps a byte that is not UTF-8
            escaped.append(f"\\x{ord(char) - 0xDC00:02x}")
        elif char.isprintable():
            escaped.append(char)
        else:
            escaped.append(char.encode("unicode_escape").decode())
    return "".join(escaped)


def safe_name(text: str) -> str:
    """Spell a name with letters, digits, dots, dashes and underscores alone.

    Where letters are lost that way, or the name is too long, a few digits made from the whole of it
    keep it apart from others.
    """
    if len(text) <= LONGEST_NAME and ALREADY_SAFE.fullmatch(text):
        return text
    composed = unicodedata.normalize("NFC", text).translate(SPELLED_OUT)
    plain = unicodedata.normalize("NFKD", composed).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("._-")
    if len(name) > LONGEST_NAME or any(_is_lost(char) for char in composed):
        own = short_hash(composed)
        name = f"{name[: LONGEST_NAME - len(own) - 1] or 'case'}_{own}"
    return name or "case"


def _is_lost(char: str) -> bool:
    """Whether a letter, digit or byte has no spelling in ASCII at all."""
    if char.isascii() or not (char.isalnum() or unicodedata.category(char) == "Cs"):
        return False
    spelled = unicodedata.normalize("NFKD", char)
    return not any(part.isascii() and part.isalnum() for part in spelled)


def short_hash(text: str) -> str:
    """Six hexadecimal digits that tell a name from others; always the same for the same name."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]


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
        if not open_cases:
            break
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
    numbers: Counter[str] = Counter()
    for case in open_cases:
        name = safe_name(candidates[case][-1])
        numbered = name
        while numbered.lower() in taken:
            numbers[name] += 1
            numbered = f"{name}_{numbers[name] + 1}"
        names[case] = numbered
        taken.add(numbered.lower())
    return names
