"""A MONAI Label app that answers with what a bundle's own command writes.

Each request runs `python -m monai.bundle run` of the chosen bundle on the image, in the bundles'
own environment: one road for a scan, whoever asks, and MONAI Label's older pydicom stays apart. A
mask comes back as a label volume on the image's grid; anything else as JSON, the bundle's
`result.json`. `serve.py` beside this file starts the server.

Options (`--conf KEY VALUE`): `python`, of the bundles' environment; `bundles`, names separated by
commas; `store_results`, `true` to send DICOM results back to the DICOMweb server.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import SimpleITK
from fastapi import HTTPException
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.utils.dicom import dicom_web_upload_dcm
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]
MASKS = (".nii.gz", ".nii", ".nrrd", ".mha")  # the first is default
CHOICES = {"weights": ["auto", "demo"], "device": ["auto", "cpu", "cuda"]}  # the first is default


class BundleTask(InferTask):
    """One bundle as a model of the server.

    Args:
        bundle: Its entry in `list_bundles.py --json`.
        python: Interpreter of the bundles' environment.
        store: Takes the DICOM files that a run wrote.
    """

    def __init__(
        self, bundle: Mapping[str, Any], *, python: str, store: Callable[[list[Path]], None]
    ) -> None:
        (output,) = bundle["outputs"].values()
        is_mask = output["format"] == "segmentation"
        super().__init__(
            type=InferType.SEGMENTATION if is_mask else InferType.CLASSIFICATION,
            labels={label: int(number) for number, label in output["channel_def"].items()},
            dimension=3,
            description=f"{bundle['title']} {bundle['version']}: {bundle['task']}",
            config=dict(CHOICES),
        )
        self._bundle = bundle
        self._python = python
        self._store = store
        self._one_at_a_time = threading.Lock()
        # Not the common one: a client on this machine saves the mask there under the same name,
        # which the server deletes once it is sent.
        self._masks = tempfile.TemporaryDirectory(prefix="masks_")

    def is_valid(self) -> bool:
        """Whether there are weights to run with."""
        return self._bundle["runs_with"] is not None

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Run the bundle on `request["image"]`: the mask's path if it makes one, and its result."""
        suffix = request.get("result_extension") or MASKS[0]
        if suffix not in MASKS:
            reason = f"result_extension must be one of {', '.join(MASKS)}, got {suffix}"
            raise HTTPException(status_code=422, detail=reason)
        with tempfile.TemporaryDirectory() as output_dir, self._one_at_a_time:
            self._run(str(request["image"]), output_dir, _options(request))
            (folder,) = (path.parent for path in Path(output_dir).glob("*/result.json"))
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            self._store(sorted(folder.glob("*.dcm")))
            compress = bool(request.get("result_compress", False))
            return self._keep(folder / "segmentation.nii.gz", suffix, compress=compress), result

    def _run(self, image: str, output_dir: str, options: list[str]) -> None:
        config = Path(self._bundle["path"]) / "configs" / "inference.json"
        command = [self._python, "-m", "monai.bundle", "run", "--config_file", str(config)]
        command += ["--input", image, "--output_dir", output_dir, "--figures", "False", *options]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        ended = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )
        logger.info("%s", ended.stderr)
        if ended.returncode != 0:
            reason = ended.stderr.rpartition("error: ")[2].strip() or "the run gave no reason"
            raise HTTPException(status_code=422, detail=reason)

    def _keep(self, mask: Path, suffix: str, *, compress: bool) -> str | None:
        """Put a mask where the server sends it from and deletes it; None if there is none.

        A client may ask for another format by its suffix, as OHIF does for `.nrrd`.
        """
        if not mask.is_file():
            return None
        handle, kept = tempfile.mkstemp(suffix=suffix, dir=self._masks.name)
        os.close(handle)
        if suffix == MASKS[0]:
            shutil.move(mask, kept)
        else:
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(mask)), kept, useCompression=compress)
        return kept


class CTBundles(MONAILabelApp):
    """Every bundle of the repository as a model of one server."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        super().__init__(
            app_dir, studies, conf, name="CT bundles", description="3D CT models. Research only."
        )

    def init_infers(self) -> dict[str, InferTask]:
        """The bundles, or those that `--conf bundles` names."""
        python = self.conf.get("python", str(REPOSITORY / ".venv" / "bin" / "python"))
        listed = subprocess.run(
            [python, str(REPOSITORY / "scripts" / "list_bundles.py"), "--json"],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        )  # fmt: skip
        bundles = {bundle["name"]: bundle for bundle in json.loads(listed.stdout)}
        names = [name for name in self.conf.get("bundles", ",".join(bundles)).split(",") if name]
        unknown = [name for name in names if name not in bundles]
        if unknown:
            msg = f"bundles must be among {', '.join(bundles)}, got {', '.join(unknown)}"
            raise MONAILabelException(MONAILabelError.APP_INIT_ERROR, msg)
        return {
            name: BundleTask(bundles[name], python=python, store=self._send_back) for name in names
        }

    def _send_back(self, files: list[Path]) -> None:
        """Store DICOM results on the DICOMweb server, where asked to."""
        datastore = self.datastore()
        if self.conf.get("store_results") != "true" or not isinstance(datastore, DICOMWebDatastore):
            return
        for file in files:
            dicom_web_upload_dcm(str(file), datastore._client)
            logger.info("stored %s", file.name)

    def _download_dcmqi_tools(self) -> None:
        """Nothing: the bundles write their DICOM objects themselves."""


def _options(request: Mapping[str, Any]) -> list[str]:
    """What a client may choose, as options of the command; anything else is not passed on."""
    chosen = {key: request.get(key) for key in CHOICES}
    return [
        part
        for key, value in chosen.items()
        if value in CHOICES[key] and value != CHOICES[key][0]
        for part in (f"--{key}", str(value))
    ]
