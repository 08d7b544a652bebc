"""Make the documentation's pictures again: `python scripts/make_pictures.py [figure.png ...]`.

Each is what a command of the README or of a model card draws with the demo weights, in full
precision so that it is the same on every machine. `docs/ohif.png` is a photograph of a screen and
`docs/pretraining.png` the curve of a training of hours: both stay as they are.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "figure.png": ("ct_scroll", ("inference",), "figure.png"),
    "wholebody.png": ("ct_fm_wholebody", ("inference",), "figure.png"),
    "embedding.png": ("ct_fm_encoder", ("inference",), "figure.png"),
    "triage.png": ("ct_fm_triage", ("inference",), "figure.png"),
    "search.png": ("ct_fm_encoder", ("inference", "semantic_search"), "figure.png"),
    "matches.png": ("ct_fm_encoder", ("inference", "retrieve"), "matches.png"),
}
"""Picture to the bundle, its configs and the file that they leave."""


def make(picture: str, folder: Path) -> Path:
    """Draw one picture into a folder.

    Raises:
        InputError: If there is none of that name, or its command fails.
    """
    if picture not in PICTURES:
        msg = f"picture must be one of {', '.join(PICTURES)}, got {picture}; name one of them"
        raise InputError(msg)
    bundle, names, left = PICTURES[picture]
    files = [str(REPOSITORY / "bundles" / bundle / "configs" / f"{name}.json") for name in names]
    with tempfile.TemporaryDirectory() as output_dir:
        done = subprocess.run(
            [
                sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files),
                "--weights", "demo", "--precision", "fp32", "--output_dir", output_dir,
            ],
            cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = sorted(Path(output_dir).rglob(left))
        if done.returncode or len(found) != 1:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            msg = f"{picture} must be drawn once, got {len(found)} pictures; {last}"
            raise InputError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(found[0], folder / picture))


def main() -> None:
    """Draw the pictures that are named, all by default, into docs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", nargs="*", help=f"of {', '.join(PICTURES)}")
    for picture in parser.parse_args().pictures or PICTURES:
        print(make(picture, REPOSITORY / "docs"))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
