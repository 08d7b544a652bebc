"""The bundles behind MONAI Label, with a DICOMweb server."""

import json
import shutil
import urllib.request
from urllib.parse import quote

import pydicom
import pytest

from common.phantom.export import write_collection

from .conftest import SEED, SPACING_MM, free_port, until_it_answers

pytestmark = pytest.mark.label
STUDY = "1.2.826.0.1.3680043.10.1"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """Orthanc with DICOMweb, holding one study of two series: its address and the series' UIDs."""
    if shutil.which("Orthanc") is None:
        pytest.skip("needs Orthanc: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    port = free_port()
    config = {
        "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "HttpPort": port, "DicomPort": free_port(), "RemoteAccessAllowed": False,
        "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
        "DicomWeb": {"Enable": True},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config))
    address = f"http://127.0.0.1:{port}"
    written = write_collection(folder, num=2, seed=SEED, file_format="dicom", spacing_mm=SPACING_MM)
    uids = []
    for series in (path for path in written if path.is_dir()):
        for path in series.iterdir():
            slice_ = pydicom.dcmread(path)
            slice_.StudyInstanceUID, slice_.PatientID = STUDY, "one"
            slice_.save_as(path)
        uids.append(str(slice_.SeriesInstanceUID))
    with (
        (folder / "log").open("w") as log,
        until_it_answers(
            ["Orthanc", str(folder / "orthanc.json")], f"{address}/system", stdout=log, stderr=log
        ),
    ):
        for path in (path for series in written if series.is_dir() for path in series.iterdir()):
            urllib.request.urlopen(f"{address}/instances", path.read_bytes())
        yield address, uids


@pytest.fixture(scope="module")
def server(serve, orthanc):
    address, _ = orthanc
    with serve(f"{address}/dicom-web") as running:
        yield running


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def infer(server, image):
    path = f"/infer/ct_scroll?image={quote(image, safe='')}&output=json"
    return server.send("POST", path, {"params": "{}"})


def cached(server, uid):
    (folder,) = server.home.rglob(uid)
    return folder


def test_each_series_of_a_study_gets_its_own_answer(server, orthanc):
    address, uids = orthanc
    before = get(f"{address}/instances")
    answers = [infer(server, uid).json for uid in uids]
    assert [answer["case"]["series"]["series_uid"] for answer in answers] == uids
    assert answers[0]["outputs"] != answers[1]["outputs"]
    assert answers[0]["case"]["format"] == "dicom"
    assert get(f"{address}/instances") == before  # nothing is stored unasked


def test_a_series_that_was_fetched_in_part_is_fetched_again(server, orthanc):
    uid = orthanc[1][0]
    whole = infer(server, uid).json
    files = sorted(cached(server, uid).iterdir())
    for file in files[: len(files) // 2]:
        file.unlink()
    assert infer(server, uid).json["outputs"] == whole["outputs"]
    assert len(list(cached(server, uid).iterdir())) == len(files)


@pytest.mark.parametrize("image", [".", "..", "../..", "/etc", "1.2.3", "1.2.3\n", "*", ""])
def test_a_series_that_the_server_does_not_have_is_an_error(server, orthanc, image):
    infer(server, orthanc[1][0])  # so that there is a cache to look into
    reply = infer(server, image)
    assert reply.status == (404 if image else 400)
    assert "outputs" not in reply.json


def test_images_and_labels_are_stored_where_they_belong(server, orthanc):
    before = sorted(server.home.rglob("*.nii.gz"))
    sent = b"x"
    uid = orthanc[1][0]
    reply = server.send("PUT", f"/datastore/image?image={uid}", files=[("file", "a.nii.gz", sent)])
    assert (reply.status, reply.json["detail"][:16]) == (405, "image must come ")
    path = f"/datastore/label?image={uid}&tag=../../x"
    assert server.send("PUT", path, files=[("label", "a.nii.gz", sent)]).status == 405
    assert server.send("GET", "/datastore/label?label=/etc/passwd&tag=final").status == 404
    assert sorted(server.home.rglob("*.nii.gz")) == before


def test_a_viewer_reads_the_dicomweb_server_through_this_one(server):
    found = server.send("GET", f"/proxy/dicom/qido/studies?StudyInstanceUID={STUDY}").json
    assert [study["0020000D"]["Value"] for study in found] == [[STUDY]]
    assert server.send("GET", "/proxy/dicom/qido/studies?StudyInstanceUID=1.2").json == []
    series = server.send("GET", f"/proxy/dicom/wado/studies/{STUDY}/series").json
    assert len(series) == 2


@pytest.mark.parametrize(
    "path", ["../system", "wado/../../system", "qido/..%2f..%2fsystem", "%252e%252e/system",
             "wado/studies/..%2F..%2F..%2Fsystem", "studies/1.2/series/..", "//127.0.0.1:1/studies",
             "studies%3f/../../system", "stow/studies"],
)  # fmt: skip
def test_a_viewer_reads_nothing_beside_the_dicomweb_server(server, orthanc, path):
    assert "Name" in get(f"{orthanc[0]}/system")
    reply = server.send("GET", f"/proxy/dicom/{path}")
    assert reply.status == 404
    assert b"DatabaseVersion" not in reply.body


def test_a_viewer_writes_nothing_through_this_server(server, orthanc):
    for path in ("studies", "stow/studies", "../tools/execute-script", "wado/studies"):
        assert server.send("POST", f"/proxy/dicom/{path}", {"a": "b"}).status in (404, 405)


def test_the_next_sample_is_a_series(server, orthanc):
    assert server("client.next_sample('first', {})")["id"] == sorted(orthanc[1])[0]
    assert server("client.next_sample('random', {})")["id"] in orthanc[1]


def test_a_study_gets_its_results_where_asked_for(serve, orthanc):
    address, uids = orthanc
    with serve(f"{address}/dicom-web", "--conf", "store_results", "true") as server:
        assert infer(server, uids[0]).status == 200
        mask, answer = server(f"client.infer('ct_fm_wholebody', {uids[0]!r}, {{}})")
    assert mask is not None
    assert "segmentation.dcm" in answer["files"]
    modalities = {series["MainDicomTags"]["Modality"] for series in get(f"{address}/series?expand")}
    assert modalities == {"CT", "SR", "SEG"}
    assert len(get(f"{address}/studies?expand")) == 1
