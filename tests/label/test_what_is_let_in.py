"""Nothing outside the studies is read or written, whatever a client asks for."""

import io
import json
import socket
import subprocess
import tarfile
import zipfile
from urllib.parse import quote

import pytest

from .conftest import LABEL_APP, OFFLINE

pytestmark = pytest.mark.label
DETACHED = b"""NRRD0004
type: uint8
dimension: 3
space: left-posterior-superior
sizes: 16 16 2
space directions: (1,0,0) (0,1,0) (0,0,1)
kinds: domain domain domain
encoding: ascii
space origin: (0,0,0)
data file: /etc/passwd
"""


def infer(server, image, **more):
    return server.send(
        "POST", f"/infer/ct_scroll?image={image}&output=json", {"params": "{}"}, **more
    )


@pytest.mark.parametrize(
    "image",
    ["no_such_patient", "docs", "README.md", "case1.nii.gz", "../elsewhere/secret.nii.gz", ".",
     "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/", "linked", "dangling", "phantom"],
)  # fmt: skip
def test_an_image_that_the_server_does_not_know_is_an_error(server, image):
    reply = infer(server, image)
    assert reply.status == 404
    assert "outputs" not in reply.json


def test_a_link_out_of_the_studies_is_not_listed(server):
    listed = server.send("GET", "/datastore/?output=all").json["objects"]
    assert {"case1", "small"} <= listed.keys()
    assert not {"linked", "dangling"} & listed.keys()


def test_no_image_at_all_is_an_error(server):
    reply = infer(server, "")
    assert (reply.status, reply.json["detail"][:22]) == (400, "image must name a scan")


def test_an_image_elsewhere_is_not_read_by_its_path(server, studies):
    assert infer(server, studies.parent / "elsewhere" / "secret.nii.gz").status == 404
    assert infer(server, studies / "case1.nii.gz").status == 404


def test_one_name_for_two_files_is_an_error(server):
    reply = infer(server, "twice")
    assert reply.status == 409
    assert "twice.nii.gz and twice.nii" in reply.json["detail"]


def test_an_unknown_model_is_an_error(server):
    reply = server.send("POST", "/infer/ct_skroll?image=case1", {"params": "{}"})
    assert reply.status == 404
    assert "model must be one of" in reply.json["detail"]


def test_parameters_cannot_put_another_image_in_its_place(server, studies):
    params = {"image": str(studies.parent / "elsewhere" / "secret.nii.gz"), "model": "ct_fm_triage"}
    reply = server.send(
        "POST", "/infer/ct_scroll?image=case2&output=json", {"params": json.dumps(params)}
    )
    assert reply.json["case"]["case_id"] == "case2"
    assert reply.json["bundle"]["name"] == "ct_scroll"


def test_a_list_of_files_is_no_image(server):
    content = b"image\n/etc/passwd\n"
    reply = infer(server, "", files=[("file", "list.csv", content)])
    assert reply.status == 422
    assert "image must be a CT" in reply.json["detail"]


@pytest.mark.parametrize(
    "line", [b"data file:", b"Datafile:", b"data file :", b"#" * (1 << 20) + b"\ndata file:"]
)
def test_a_header_that_points_to_another_file_is_no_image(server, line):
    header = DETACHED.replace(b"data file:", line)
    reply = infer(server, "", files=[("file", "scan.nrrd", header)])
    assert reply.status == 422
    assert b"root:" not in reply.body
    assert "image must hold its own voxels" in reply.json["detail"]


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "..", "a/b", ".hidden", "a\\b", "a\nb", "x" * 129]
)
def test_an_upload_is_named_without_a_path(server, studies, name):
    before = sorted(studies.parent.rglob("*"))
    quoted = quote(name, safe="")
    for path in ("/datastore/", "/datastore/image"):
        reply = server.send("PUT", f"{path}?image={quoted}", files=[("file", "a.nii.gz", b"x")])
        assert reply.status == 400
        assert "image must be a name without a path" in reply.json["detail"]
    assert sorted(studies.parent.rglob("*")) == before


def test_an_uploaded_file_lands_in_the_studies_whatever_it_is_called(server, studies):
    sent = (studies / "small.nii.gz").read_bytes()
    reply = server.send("PUT", "/datastore/image", files=[("file", "../../up.nii.gz", sent)])
    assert reply.json == {"image": "up"}
    assert (studies / "up.nii.gz").read_bytes() == sent
    assert server.send("GET", "/datastore/image?image=up").body == sent


@pytest.mark.parametrize("name", ["case1", "dangling", "linked"])
def test_an_upload_replaces_nothing_and_follows_no_link(server, studies, name):
    before = (studies / "case1.nii.gz").read_bytes()
    reply = server.send("PUT", f"/datastore/image?image={name}", files=[("file", "a.nii.gz", b"x")])
    assert reply.status == 409
    assert (studies / "case1.nii.gz").read_bytes() == before
    assert not (studies.parent / "elsewhere" / "new.nii.gz").exists()


def test_only_images_can_be_uploaded(server, studies):
    reply = server.send("PUT", "/datastore/image", files=[("file", "list.csv", b"a,b")])
    assert reply.status == 400
    assert "file must end in .nii.gz, .nii, .nrrd, got .csv" in reply.json["detail"]


def test_a_label_stays_below_the_labels(server, studies):
    sent = (studies / "small.nii.gz").read_bytes()
    label = [("label", "../../../x.nii.gz", sent)]
    assert server.send("PUT", "/datastore/label?image=case1&tag=../..", files=label).status == 400
    assert server.send("PUT", "/datastore/label?image=../case1", files=label).status == 404
    assert server.send("PUT", "/datastore/label?image=case1", files=label).status == 200
    assert (studies / "labels" / "final" / "case1.nii.gz").read_bytes() == sent
    assert server.send("GET", "/datastore/label?label=case1&tag=final").body == sent
    assert server.send("DELETE", "/datastore/label?id=case1&tag=final").status == 200


def test_a_session_is_named_by_the_server(server, studies):
    """A client once could upload the description of a session, and with it any path."""
    described = json.dumps({"image": "/etc/passwd", "name": "x", "path": "/"}).encode()
    scan = (studies / "small.nii.gz").read_bytes()
    reply = server.send(
        "PUT", "/session/", files=[("files", "meta.info", described), ("files", "a.nii.gz", scan)]
    )
    inside = f"{reply.json['session_id']}/scan"
    for asked in (inside, "..", "no-such-session"):
        reply = server.send("POST", f"/infer/ct_scroll?session_id={asked}", {"params": "{}"})
        assert reply.status == 404
        assert "session_id must be" in reply.json["detail"]
        assert server.send("GET", f"/session/{quote(asked, safe='')}?image=true").status in (
            404,
            422,
        )


def test_an_expired_session_is_not_answered_from_the_studies(server):
    gone = "00000000-0000-0000-0000-000000000000"
    reply = server.send("POST", f"/infer/ct_scroll?session_id={gone}&image=case1", {"params": "{}"})
    assert reply.status == 404


def archived(kind, name, link_to=None):
    held = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr(name, b"evil")
        return held.getvalue()
    with tarfile.open(fileobj=held, mode="w") as archive:
        member = tarfile.TarInfo(name)
        if link_to is not None:
            member.type, member.linkname = tarfile.SYMTYPE, link_to
        archive.addfile(member)
    return held.getvalue()


@pytest.mark.parametrize("member", [("../../../evil.nii.gz", None), ("a.nii.gz", "/etc/passwd")])
def test_an_archive_does_not_leave_its_folder(server, member):
    before = sorted(server.home.rglob("evil*"))
    sent = [("files", "scan.tar", archived("tar", *member))]
    reply = server.send("PUT", "/session/?uncompress=true", files=sent)
    assert reply.status == 400
    assert sorted(server.home.rglob("evil*")) == before


def test_an_archived_list_is_no_image(server):
    sent = [("files", "scan.zip", archived("zip", "../list.csv"))]
    session = server.send("PUT", "/session/?uncompress=true", files=sent).json["session_id"]
    reply = server.send("POST", f"/infer/ct_scroll?session_id={session}", {"params": "{}"})
    assert reply.status == 422
    assert server.send("DELETE", f"/session/{session}").status == 200


@pytest.mark.parametrize(
    "asked",
    ["GET /logs/", "GET /logs/gpu", "POST /reload", "GET /model/ct_scroll", "PUT /model/ct_scroll",
     "DELETE /model/ct_scroll", "POST /train/ct_scroll", "POST /batch/infer/ct_scroll",
     "GET /batch/infer", "POST /scoring/dice", "POST /infer/wsi/ct_scroll",
     "POST /infer/wsi_v2/ct_scroll", "GET /datastore/dataset", "DELETE /datastore/image?id=case1",
     "DELETE /datastore/?id=case1", "GET /proxy/dicom/studies", "POST /proxy/dicom/studies",
     "PUT /datastore/updatelabelinfo?label=case1&tag=x"],
)  # fmt: skip
def test_what_no_viewer_needs_is_not_there(server, studies, asked):
    method, path = asked.split()
    assert server.send(method, path).status in (404, 405)
    assert (studies / "case1.nii.gz").is_file()


def test_a_fault_of_the_server_shows_no_line_of_it(server):
    reply = server.send("GET", "/ohif/..%2f")
    assert b"Traceback" not in reply.body
    reply = server.send("POST", "/infer/ct_scroll?image=case1", {"params": "not json"})
    assert (reply.status, reply.json["detail"]) == (400, "params must be a JSON object")


def test_only_this_machine_reaches_the_server_unless_asked_otherwise(server):
    port = int(server.address.rpartition(":")[2])
    assert f"Uvicorn running on http://127.0.0.1:{port}" in server.log()
    with socket.socket() as outside:
        outside.settimeout(5)
        assert outside.connect_ex(("127.0.0.2", port)) != 0  # 0.0.0.0 would answer here too


def test_a_page_of_another_site_is_not_let_in(server):
    asked = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        reply = server.send(method, "/info/", headers=asked)
        assert "access-control-allow-origin" not in {name.lower() for name in reply.headers}


def test_a_site_can_be_let_in(label_python):
    script = f"""
import sys
sys.path.insert(0, {str(LABEL_APP)!r})
import serve
import torch
if torch.version.cuda is None:
    serve.declare_torchvision_operators()
    serve.declare_torchvision_operators = lambda: None
from monailabel.main import Main
Main.run = lambda self: None
sys.argv = ["serve.py", "--studies", "x", "--allow_origins", "http://viewer.example"]
serve.main()
from endpoints import app
from starlette.testclient import TestClient
for origin in ("http://viewer.example", "http://elsewhere.example"):
    answer = TestClient(app).get("/openapi.json", headers={{"Origin": origin}})
    print(answer.headers.get("access-control-allow-origin"))
"""
    said = subprocess.run(
        [label_python, "-c", script], capture_output=True, text=True, check=True, env={**OFFLINE}
    )
    assert said.stdout.split()[-2:] == ["http://viewer.example", "None"]
