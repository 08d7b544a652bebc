"""A MONAI Label app that answers with what a bundle's own command writes.

Each request runs the chosen bundle's `inference.json` on the image, in a process of the bundles'
own environment, where networks stay loaded: one road for a scan, whoever asks, and MONAI Label's
older pydicom stays apart. Every bundle is listed as a segmentation model, since 3D Slicer and OHIF
run nothing else without a click: a mask comes back on the image's grid; of another answer a label
volume shows where it comes from. The bundle's `result.json` comes beside it. `serve.py` beside
this file starts the server.

Options (`--conf KEY VALUE`): `python`, of the bundles' environment; `bundles`, names separated by
commas; `store_results`, `true` to send DICOM results back to the DICOMweb server; `keep_gb`, of
weights kept loaded; `timeout_s`, the longest that a run may take.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import monailabel.interfaces.app
import SimpleITK
from bundle_process import REPOSITORY, BundleProcess
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.datastore.utils.dicom import dicom_web_upload_dcm
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random
from studies import DICOMwebStudies, StudiesFolder, checked_image

logger = logging.getLogger(__name__)

# Of each, the first is the default.
FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha")
NUMBER_TYPES = {"uint8": SimpleITK.sitkUInt8, "uint16": SimpleITK.sitkUInt16}
CHOICES = {"weights": ["auto", "demo"], "device": ["auto", "cpu", "cuda"]}


class BundleTask(InferTask):
    """One bundle as a model of the server.

    Args:
        bundle: Its entry in the worker's list.
        process: Where it runs.
        store: Takes the DICOM files that a run wrote.
    """

    def __init__(
        self,
        bundle: Mapping[str, Any],
        *,
        process: BundleProcess,
        store: Callable[[list[Path]], None],
    ) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=bundle["labels"] or {},
            dimension=3,
            description=f"{bundle['title']} {bundle['version']}: {bundle['task']}",
            config=dict(CHOICES),
        )
        self._bundle = bundle
        self._process = process
        self._store = store
        # Not the common one: a client on this machine saves the mask there under the same name.
        self._masks = tempfile.TemporaryDirectory(prefix="masks_")

    def is_valid(self) -> bool:
        """Whether there are weights to run with."""
        return self._bundle["labels"] is not None

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Run the bundle on the file or folder `request["image"]`.

        Returns:
            The label volume's path, which the caller deletes, and the bundle's result with
            `label_names`, name to number in the volume, and `centroids`, which OHIF expects.

        Raises:
            HTTPException: If the image or the request cannot be used, with the reason.
        """
        suffix, dtype = _chosen_format(request)
        image = checked_image(Path(request["image"]))
        with tempfile.TemporaryDirectory(prefix="run_") as output_dir:
            answer = self._run(image, output_dir, _options(request))
            folder = Path(answer["folder"])
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            self._store(sorted(folder.glob("*.dcm")))
            compress = bool(request.get("result_compress", False))
            volume = self._keep(folder / answer["volume"], suffix, dtype=dtype, compress=compress)
        return volume, {**result, "label_names": answer["labels"], "centroids": {}}

    def _run(self, image: Path, output_dir: str, options: dict[str, str]) -> dict[str, Any]:
        try:
            answer = self._process.ask(
                do="run", bundle=self._bundle["name"], image=str(image), output_dir=output_dir,
                options=options,
            )  # fmt: skip
        except HTTPException as error:
            reason = str(error.detail).replace(str(image), image.name)
            raise HTTPException(error.status_code, reason) from error
        if answer["labels"] != self.labels:  # a viewer would give them the wrong names
            reason = "weights must have the labels that the server lists, got others; restart it"
            raise HTTPException(409, reason)
        return answer

    def _keep(self, volume: Path, suffix: str, *, dtype: str, compress: bool) -> str:
        """Put a label volume where the server sends it from.

        A client may ask for another format by its suffix, as OHIF does for `.nrrd`.
        """
        handle, kept = tempfile.mkstemp(suffix=suffix, dir=self._masks.name)
        os.close(handle)
        try:
            if (suffix, dtype) == (FORMATS[0], "uint8"):
                shutil.move(volume, kept)
            else:
                labels = SimpleITK.ReadImage(str(volume))
                labels = SimpleITK.Cast(labels, NUMBER_TYPES[dtype])
                SimpleITK.WriteImage(labels, kept, useCompression=compress)
        except RuntimeError as error:
            Path(kept).unlink()
            logger.warning("%s", error)
            reason = f"result_extension must be {FORMATS[0]} for a scan that is sheared or tilted"
            raise HTTPException(422, reason) from error
        return kept


class CTBundles(MONAILabelApp):
    """Every bundle of the repository as a model of one server."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        super().__init__(
            app_dir, studies, conf, name="CT bundles", description="3D CT models. Research only."
        )

    def init_datastore(self) -> Datastore:
        """The folder of studies or the DICOMweb server, with nothing else in reach.

        Raises:
            MONAILabelException: If another kind of server is asked for.
        """
        if settings.MONAI_LABEL_DATASTORE:
            msg = f"MONAI_LABEL_DATASTORE must be empty, got {settings.MONAI_LABEL_DATASTORE}"
            raise MONAILabelException(MONAILabelError.APP_INIT_ERROR, msg)
        with (
            patch.object(monailabel.interfaces.app, "LocalDatastore", StudiesFolder),
            patch.object(monailabel.interfaces.app, "DICOMWebDatastore", DICOMwebStudies),
        ):
            return super().init_datastore()

    def init_infers(self) -> dict[str, InferTask]:
        """The bundles, or those that `--conf bundles` names."""
        process = BundleProcess(
            self.conf.get("python", str(REPOSITORY / ".venv" / "bin" / "python")),
            keep_gb=float(self.conf.get("keep_gb", 4)),
            timeout_s=float(self.conf.get("timeout_s", 3600)),
        )
        bundles = {bundle["name"]: bundle for bundle in process.ask(do="list")["bundles"]}
        names = [name for name in self.conf.get("bundles", ",".join(bundles)).split(",") if name]
        unknown = [name for name in names if name not in bundles]
        if unknown:
            msg = f"bundles must be among {', '.join(bundles)}, got {', '.join(unknown)}"
            raise MONAILabelException(MONAILabelError.APP_INIT_ERROR, msg)
        return {
            name: BundleTask(bundles[name], process=process, store=self._send_back)
            for name in names
        }

    def init_strategies(self) -> dict[str, Strategy]:
        """Which sample comes next: the first without a label, or any."""
        return {"first": First(), "random": Random()}

    def infer(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Run a model on an image.

        Args:
            request: `model`; `image`, the id of an image that the server knows, or the path of one
                that it received; what the client chose.
            datastore: Not used; there is one.

        Raises:
            HTTPException: If there is no such model or image, or it cannot be used.
        """
        task = self._infers.get(request["model"])
        if task is None or not task.is_valid():
            known = ", ".join(name for name, each in self._infers.items() if each.is_valid())
            raise HTTPException(404, f"model must be one of {known}, got {request['model']!r}")
        image = request["image"]
        if not image:
            raise HTTPException(400, "image must name a scan, got nothing; send one or its id")
        path = image if isinstance(image, Path) else self.datastore().get_image_uri(str(image))
        volume, result = task({**request, "image": path})
        return {"file": volume, "label": volume, "params": result}

    def _send_back(self, files: list[Path]) -> None:
        """Store DICOM results on the DICOMweb server, where asked to."""
        datastore = self.datastore()
        if self.conf.get("store_results") != "true" or not isinstance(datastore, DICOMwebStudies):
            return
        for file in files:
            dicom_web_upload_dcm(str(file), datastore._client)
            logger.info("stored %s", file.name)

    def _download_dcmqi_tools(self) -> None:
        """Nothing: the bundles write their DICOM objects themselves."""


def _chosen_format(request: Mapping[str, Any]) -> tuple[str, str]:
    """Suffix and number type of the label volume that a client asks for."""
    chosen = []
    for key, known in (("result_extension", FORMATS), ("result_dtype", NUMBER_TYPES)):
        value = request.get(key) or next(iter(known))
        if value not in known:
            raise HTTPException(422, f"{key} must be one of {', '.join(known)}, got {value}")
        chosen.append(value)
    return chosen[0], chosen[1]


def _options(request: Mapping[str, Any]) -> dict[str, str]:
    """What a client may choose, as overrides of the config; anything else is not passed on."""
    return {
        key: request[key]
        for key, known in CHOICES.items()
        if request.get(key) in known and request[key] != known[0]
    }
