"""Write what the README tells of the bundles from the bundles themselves.

`python scripts/write_readme.py` writes the rows between the marks, `--check` says whether they are
as they would be written.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from common.atomic import write_text
from common.bundle.catalog import BundleEntry, list_bundles
from common.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- bundles: scripts/write_readme.py -->", "<!-- end of bundles -->"
HEAD = "| | what you get | run it |\n|---|---|---|"
MOST_WORDS = 8
PICTURES = {
    "ct_scroll": "figure.png",
    "ct_fm_wholebody": "wholebody.png",
    "ct_fm_encoder": "embedding.png",
    "ct_fm_triage": "triage.png",
}
"""The picture of a bundle in `docs`; a bundle without one gets a row without."""


def row(bundle: BundleEntry) -> str:
    """One bundle: picture, name, what one gets, the command.

    Raises:
        InputError: If its task takes more than eight words.
    """
    if len(bundle.task.split()) > MOST_WORDS:
        msg = f"task must have {MOST_WORDS} words at most, got {bundle.task!r} of {bundle.name}"
        raise InputError(msg)
    card = f"bundles/{bundle.name}/docs/README.md"
    picture = PICTURES.get(bundle.name)
    shown = f'<a href="{card}"><img src="docs/{picture}" width="140"></a>' if picture else ""
    command = bundle.stages["inference"].command(f"bundles/{bundle.name}")
    return f"| {shown} | [`{bundle.name}`]({card})<br>{bundle.task} | `{command}` |"


def with_rows(text: str) -> str:
    """The README with rows as they are today.

    Raises:
        InputError: If the marks are gone.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        msg = f"README must hold {BEGIN} and {END} once each, got another number; put them back"
        raise InputError(msg)
    rows = "\n".join([BEGIN, "", HEAD, *map(row, list_bundles(REPOSITORY / "bundles")), "", END])
    return re.sub(f"{BEGIN}.*{END}", lambda _: rows, text, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if they differ")
    arguments = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    try:
        wanted = with_rows(text)
    except InputError as error:
        sys.exit(f"error: {error}")
    if arguments.check and wanted != text:
        sys.exit("error: README must tell the bundles as they are; run scripts/write_readme.py")
    if not arguments.check:
        write_text(README, wanted)


if __name__ == "__main__":
    main()
