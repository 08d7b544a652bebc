"""A model card for a packed bundle: links hold, commands run where the repository is not.

Pictures come along; other links out of the bundle become plain text; commands are for the bundle's
own folder; what only the repository has, its scripts, tests and benchmarks, is left out.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

_INPUT = (
    "All commands run in this folder. Single case, folder, list, DICOM: "
    "`python -m monai.bundle run --config_file configs/inference.json --input /my/scans "
    "--output_dir out`. Below, `C=configs`."
)
_ONLY_THERE = r"`(?:python -m benchmarks|python scripts/|scripts/|tests/|common/)[^`]*`"


def write_packed_card(card: Path, name: str, extras: Mapping[str, Sequence[str]]) -> None:
    """Rewrite `docs/README.md` of a bundle that is being packed.

    Args:
        card: The copy to rewrite; pictures are put beside it.
        name: Of the bundle.
        extras: The project's optional dependencies, which cannot be named as such any more.
    """
    text = card.read_text(encoding="utf-8")
    text = re.sub(r"^Single case, .*$", _INPUT, text, flags=re.MULTILINE)
    text = text.replace(f"bundles/{name}/models/demo.json", "models/model.json")
    text = text.replace(f"bundles/{name}/", "")
    for extra, packages in extras.items():
        quoted = " ".join(f"'{package}'" for package in packages)
        text = text.replace(f"pip install -e '.[{extra}]'", f"pip install {quoted}")
    card.write_text(_links(_without_scripts(text), card.parent), encoding="utf-8")


def _without_scripts(text: str) -> str:
    """Leave out shell lines, notes in brackets and sentences about what is not in the zip."""
    text = re.sub(r"(?:^# .*\n)?^python scripts/.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(rf" \({_ONLY_THERE}(?:, {_ONLY_THERE})*\)", "", text)
    text = re.sub(rf", `tests/[^`]*`(?=\))|(?<=\(){_ONLY_THERE}, ", "", text)
    sentence = rf"(?:(?<=[.:] )|^)[^.|\n`]*{_ONLY_THERE}(?:[^.`\n]|`[^`\n]*`|\.(?=\S))*\.(?: |$)"
    return re.sub(sentence, "", text, flags=re.MULTILINE)


def _links(text: str, folder: Path) -> str:
    text = re.sub(r" \(\[[^\]]*\]\(\.\./[^)]*\)\)", "", text)
    here = Path(__file__).resolve().parents[2]

    def mend(link: re.Match[str]) -> str:
        mark, shown, target = link.groups()
        if not target.startswith("../"):
            return link[0]
        picture = here / target.replace("../", "")
        if mark and picture.is_file():
            shutil.copy(picture, folder)
            return f"![{shown}]({picture.name})"
        return str(shown)

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)]*)\)", mend, text)
