"""Serve the bundles with MONAI Label: `python scripts/label_app/serve.py --studies DIR`.

Run it in the server's own environment, `.venv-label` (`make label-env`). DIR holds NIfTI files or
is a DICOMweb address such as http://127.0.0.1:8042/dicom-web. Only this machine reaches the server
unless `--host` says otherwise, and no page of another site unless `--allow_origins` names the site.
Every other option is MONAI Label's own (`--port`, `--conf`). Works without the network.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from argparse import ArgumentParser
from pathlib import Path

import torch
from torch import library as operators

APP = Path(__file__).resolve().parent
DEFAULTS = {
    # DICOM stays DICOM: the bundles read it themselves, and write their results as DICOM
    "MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI": "false",
    "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": '{"Modality": "CT"}',
    "MONAI_LABEL_DATASTORE_FILE_EXT": '["*.nii.gz", "*.nii", "*.nrrd"]',  # what the bundles read
}


def main() -> None:
    for key, value in DEFAULTS.items():
        os.environ.setdefault(key, value)
    if torch.version.cuda is None and importlib.util.find_spec("torchvision"):
        declare_torchvision_operators()
    from monailabel.config import settings
    from monailabel.main import Main

    own = ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--allow_origins", help="sites, as https://viewer.example, by commas")
    chosen, others = own.parse_known_args()
    if chosen.allow_origins:
        settings.MONAI_LABEL_CORS_ORIGINS = chosen.allow_origins.split(",")
    served = ["--app", str(APP), "--uvicorn_app", "endpoints:app", "--host", "127.0.0.1"]
    sys.argv = [sys.argv[0], "start_server", *served, *others]
    Main().run()


def declare_torchvision_operators() -> None:
    """Let torchvision's package for GPUs be imported beside torch for CPUs.

    MONAI Label imports it to draw; its compiled operators are never called here.
    """
    declared = operators.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_declared"] = declared  # the operators go when it does


if __name__ == "__main__":
    main()
