"""What the server answers to: MONAI Label's harmless routes, and safer ones for the rest.

MONAI Label 0.8.5 takes paths where an image's name belongs, lets parameters replace the image,
unpacks archives as they are, fetches whatever its DICOMweb server can reach, and sends its log.
Only the routes listed here are left of it. `app` is what uvicorn serves.
"""

from __future__ import annotations

import json
import logging
import re
import tarfile
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import requests
from fastapi import APIRouter, Depends, FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from monailabel.config import settings
from monailabel.endpoints import activelearning, datastore, info, login, ohif, session
from monailabel.endpoints.proxy import proxy_dicom
from monailabel.endpoints.user.auth import RBAC
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type
from requests_toolbelt import MultipartEncoder
from starlette.middleware.cors import CORSMiddleware
from studies import SUFFIXES, plain_name

logger = logging.getLogger(__name__)

KEPT = {
    "/info/": {"GET"},
    "/activelearning/{strategy}": {"POST"},
    "/datastore/": {"GET"},
    "/datastore/image": {"GET", "HEAD"},
    "/datastore/image/info": {"GET", "PUT"},
    "/datastore/label": {"GET", "HEAD", "DELETE"},
    "/datastore/label/info": {"GET", "PUT"},
    "/ohif/{path:path}": {"GET"},
    "/auth/": {"GET"},
    "/auth/token": {"POST"},
    "/auth/token/valid": {"GET"},
}
MOST_UNPACKED = 32 * 10**9  # bytes
DICOMWEB_PATH = re.compile(r"(studies|series|instances)(/(?!\.)[\w.,-]+)*/?", re.ASCII)

router = APIRouter()
may_use = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
may_annotate = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))


@router.post("/infer/{model}", dependencies=[may_use])
def infer(
    model: str,
    image: str = "",
    session_id: str = "",
    params: str = Form("{}"),
    file: UploadFile | None = File(None),  # noqa: B008 - how FastAPI declares a form
    output: Literal["image", "json", "all"] = "all",
) -> Response:
    """Run a bundle on a session's image, on a file sent along, or on an image of the studies."""
    with tempfile.TemporaryDirectory(prefix="upload_") as folder:
        scan: str | Path = image
        if session_id:
            scan = _session_image(session_id)
        elif file is not None:
            scan = _received(file, Path(folder))
        asked = {**_json_object(params), "model": model, "image": scan, "save_label": False}
        answer = app_instance().infer(asked)
    return _reply(Path(answer["file"]), answer["params"], output)


@router.put("/datastore/", dependencies=[may_annotate], include_in_schema=False)
@router.put("/datastore/image", dependencies=[may_annotate])
def add_image(
    image: str = "",
    params: str = Form("{}"),
    file: UploadFile = File(...),  # noqa: B008
) -> dict[str, str]:
    """Keep a new image in the folder of studies."""
    with tempfile.TemporaryDirectory(prefix="upload_") as folder:
        received = _received(file, Path(folder))
        name = image or received.name.removesuffix(_suffix(received.name))
        studies = app_instance().datastore()
        return {"image": studies.add_image(name, str(received), _json_object(params))}


@router.put("/datastore/label", dependencies=[may_annotate])
def save_label(
    image: str,
    params: str = Form("{}"),
    tag: str = "final",
    label: UploadFile = File(...),  # noqa: B008
) -> dict[str, str]:
    """Keep a label of an image."""
    with tempfile.TemporaryDirectory(prefix="upload_") as folder:
        received = _received(label, Path(folder))
        studies = app_instance().datastore()
        kept = studies.save_label(image, str(received), tag or "final", _json_object(params))
        return {"image": image, "label": kept}


@router.put("/session/", dependencies=[may_use])
def create_session(
    uncompress: bool = False,
    expiry: int = 0,
    files: list[UploadFile] = File(...),  # noqa: B008
) -> dict[str, Any]:
    """Keep an image for a while: one file, the slices of a series, or an archive of them."""
    with tempfile.TemporaryDirectory(prefix="upload_") as folder:
        scan = Path(folder, "scan")
        scan.mkdir()
        received = [_received(each, scan) for each in files]
        if uncompress:
            unpacked = Path(folder, "unpacked")
            for archive in received:
                unpack(archive, unpacked)
            scan = unpacked
        elif len(received) == 1:
            scan = received[0]
        name, facts = app_instance().sessions().add_session(str(scan), expiry)
    return {"session_id": name, "session_info": facts.to_json()}


@router.get("/session/{session_id}", dependencies=[may_use])
def get_session(session_id: UUID, update_ts: bool = False, image: bool = False) -> Any:
    """What a session is, or its image."""
    return session.get_session(str(session_id), update_ts, image)


@router.delete("/session/{session_id}", dependencies=[may_use])
def remove_session(session_id: UUID) -> Any:
    """Forget a session and its image."""
    return session.remove_session(str(session_id))


@router.get("/proxy/dicom/{path:path}", dependencies=[may_use], include_in_schema=False)
async def read_dicomweb(request: Request, path: str) -> Response:
    """Hand on what a viewer reads from the DICOMweb server; nothing beside it, and no writing."""
    first, slash, rest = path.partition("/")
    operation, asked = (first, rest) if slash and first in ("wado", "qido") else ("", path)
    if not settings.MONAI_LABEL_STUDIES.startswith(("http://", "https://")):
        raise HTTPException(404, "studies must be a DICOMweb server, got a folder")
    if not DICOMWEB_PATH.fullmatch(asked):
        raise HTTPException(404, "path must be one of DICOMweb's")
    query = f"?{request.url.query}" if request.url.query else ""
    answer: Response = await proxy_dicom(request, operation, asked + query)
    return answer


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar file into a folder; nothing of it lands elsewhere.

    Raises:
        HTTPException: 400 if it is neither, or damaged, or holds what leads out of the folder; 413
            if it holds too much.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                _refuse_large(sum(each.file_size for each in opened.infolist()))
                opened.extractall(folder)
        else:
            with tarfile.open(archive) as packed:
                _refuse_large(sum(each.size for each in packed))
                packed.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        logger.warning("refused %s: %s", archive.name, error)
        raise HTTPException(
            400, f"file must be a zip or tar of a scan, got {archive.name}"
        ) from error


def _refuse_large(size: int) -> None:
    if size > MOST_UNPACKED:
        raise HTTPException(413, f"archive must hold {MOST_UNPACKED / 1e9:g} GB at most")


def _session_image(session_id: str) -> Path:
    """The image of a session.

    Its name becomes part of a path, so it must be one that this server gives.
    """
    try:
        known = app_instance().sessions().get_session(str(UUID(session_id)))
    except ValueError:
        known = None
    if known is None:
        raise HTTPException(404, "session_id must be that of a session, got none or an expired one")
    return Path(known.image)


def _received(file: UploadFile, folder: Path) -> Path:
    """Write what a client sent into a folder, under its own name."""
    sent = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    path = folder / plain_name(sent, "file")
    if path.exists():
        raise HTTPException(400, f"files must have different names, got {sent} twice")
    with path.open("xb") as kept:
        while part := file.file.read(1 << 20):
            kept.write(part)
    return path


def _suffix(name: str) -> str:
    return next((each for each in SUFFIXES if name.endswith(each)), Path(name).suffix)


def _json_object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text or "{}")
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise HTTPException(400, "params must be a JSON object")
    return parsed


def _reply(volume: Path, result: dict[str, Any], output: str) -> Response:
    """What MONAI Label's clients expect: the volume, the result, or both; the file is gone then."""
    content = volume.read_bytes()
    volume.unlink()
    kind = get_mime_type(volume.name)
    if output == "json":
        return JSONResponse(result)
    if output == "image":
        named = {"content-disposition": f'attachment; filename="{volume.name}"'}
        return Response(content, media_type=kind, headers=named)
    both = MultipartEncoder(
        {
            "params": (None, json.dumps(result), "application/json"),
            "image": (volume.name, content, kind),
        }
    )
    return Response(both.to_string(), media_type=both.content_type)


def _kept_routes() -> APIRouter:
    kept = APIRouter()
    modules = [info, activelearning, datastore, ohif]
    if settings.MONAI_LABEL_AUTH_ENABLE:
        modules.append(login)
    for route in (route for module in modules for route in module.router.routes):
        if route.methods <= KEPT.get(route.path, set()):
            kept.routes.append(route)
    return kept


def _say_why(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(getattr(error, "msg", error))}, status_code=404)


def _say_unreachable(_request: Request, error: Exception) -> JSONResponse:
    logger.error("the DICOMweb server failed: %s", error)
    return JSONResponse({"detail": "the DICOMweb server gave no answer"}, status_code=502)


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    instance = app_instance()  # made before the first request
    instance.server_mode(True)
    instance.on_init_complete()
    yield


app = FastAPI(title="CT bundles", lifespan=_lifespan, docs_url="/", redoc_url=None)
app.include_router(router)
app.include_router(_kept_routes())
app.mount("/static", StaticFiles(directory=Path(ohif.__file__).with_name("static")))
app.add_exception_handler(MONAILabelException, _say_why)
app.add_exception_handler(requests.RequestException, _say_unreachable)
if settings.MONAI_LABEL_CORS_ORIGINS:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS],
        allow_methods=["*"],
        allow_headers=["*"],
    )
