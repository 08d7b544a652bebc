"""The bundles behind MONAI Label: a folder of NIfTI, then DICOMweb."""

import json
import shutil
import subprocess
import sys
import urllib.request

import nibabel as nib
import nrrd
import numpy as np
import pytest

from common.phantom.export import write_collection, write_phantom_case

from .conftest import REPOSITORY, free_port, until_it_answers

pytestmark = pytest.mark.label
SEED = 1_200_003


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A study folder: `case1.nii.gz`, a phantom, and `picture.nii.gz`, which is no CT."""
    folder = tmp_path_factory.mktemp("studies")
    written = write_phantom_case(folder, SEED, spacing_mm=(3.0, 3.0, 5.0))
    for path in folder.iterdir():
        if path != written:
            path.unlink()
    written.rename(folder / "case1.nii.gz")
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 32)).astype(np.uint8)
    nib.save(nib.Nifti1Image(picture, np.eye(4)), folder / "picture.nii.gz")
    return folder


@pytest.fixture(scope="module")
def ask(serve, studies):
    with serve(studies) as client:
        yield client


def by_command(image, output_dir):
    """What the bundle's own command answers."""
    subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "--config_file",
         "bundles/ct_scroll/configs/inference.json", "--input", str(image), "--output_dir",
         str(output_dir), "--figures", "False"],
        cwd=REPOSITORY, check=True, capture_output=True,
    )  # fmt: skip
    (result,) = output_dir.glob("*/result.json")
    return json.loads(result.read_text())


def test_the_server_tells_of_every_bundle(ask):
    info = ask("client.info()")
    assert info["name"] == "CT bundles"
    model = info["models"]["ct_scroll"]
    assert model["type"] == "classification"
    assert model["labels"]["Pleural effusion"] == 12
    assert model["config"]["weights"] == ["auto", "demo"]
    segmenter = info["models"]["ct_fm_wholebody"]
    assert segmenter["type"] == "segmentation"
    assert segmenter["labels"]["liver"] == 5


def test_probabilities_come_back_as_the_commands_own_result(ask, studies, tmp_path):
    mask, answer = ask("client.infer('ct_scroll', 'case1', {'weights': 'demo'})")
    wanted = by_command(studies / "case1.nii.gz", tmp_path / "out")
    assert mask is None
    assert answer.keys() == wanted.keys()
    assert answer["outputs"] == wanted["outputs"]
    assert answer["weights"] == wanted["weights"]
    print("\nct_scroll:", answer["timings"])


def test_a_mask_comes_back_on_the_images_grid(ask, studies):
    mask, answer = ask("client.infer('ct_fm_wholebody', 'case1', {'weights': 'demo'})")
    found, image = nib.load(mask), nib.load(studies / "case1.nii.gz")
    assert found.shape == image.shape
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-4)
    numbers = set(np.unique(np.asarray(found.dataobj)).tolist()) - {0}
    told = {each["number"] for each in answer["outputs"]["structures"].values()}
    assert numbers == told
    print("\nct_fm_wholebody:", len(told), "structures,", answer["timings"])


def test_a_mask_comes_in_the_format_that_a_viewer_asks_for(ask, studies):
    asked = {"weights": "demo", "result_extension": ".nrrd", "result_compress": False}
    mask, _ = ask(f"client.infer('ct_fm_wholebody', 'case1', {asked!r})")
    plain, _ = ask("client.infer('ct_fm_wholebody', 'case1', {'weights': 'demo'})")
    labels, header = nrrd.read(mask)
    assert (labels.dtype, header["encoding"]) == (np.uint8, "raw")
    np.testing.assert_array_equal(labels, np.asarray(nib.load(plain).dataobj))
    with pytest.raises(AssertionError, match=r"result_extension must be one of .*, got \.png"):
        ask("client.infer('ct_fm_wholebody', 'case1', {'result_extension': '.png'})")


def test_an_image_can_be_sent_along(ask, studies):
    path = studies / "case1.nii.gz"
    _, answer = ask(f"client.infer('ct_scroll', '', {{}}, file={str(path)!r})")
    _, stored = ask("client.infer('ct_scroll', 'case1', {})")
    assert answer["outputs"] == stored["outputs"]


def test_a_session_serves_as_an_image(ask, studies):
    path = studies / "case1.nii.gz"
    session = ask(f"client.create_session({str(path)!r})")["session_id"]
    _, answer = ask(f"client.infer('ct_scroll', '', {{}}, session_id={session!r})")
    _, stored = ask("client.infer('ct_scroll', 'case1', {})")
    assert answer["outputs"] == stored["outputs"]


def test_what_is_no_ct_is_answered_with_the_reason(ask):
    with pytest.raises(AssertionError, match=r"Status: 422; Response: .*must be a CT, got"):
        ask("client.infer('ct_scroll', 'picture', {})")
    _, answer = ask("client.infer('ct_scroll', 'case1', {})")  # and the server goes on
    assert answer["clinical_use"] is False


def test_an_unknown_bundle_stops_the_server(serve, studies):
    with (
        pytest.raises(AssertionError, match="ended with"),
        serve(studies, "--conf", "bundles", "ct_skroll"),
    ):
        pass


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """Orthanc with DICOMweb, holding one phantom: its address and the series' UID."""
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
    written = write_collection(
        folder, num=1, seed=SEED, file_format="dicom", spacing_mm=(3.0, 3.0, 5.0)
    )
    (series,) = (path for path in written if path.is_dir())
    with (
        (folder / "log").open("w") as log,
        until_it_answers(
            ["Orthanc", str(folder / "orthanc.json")], f"{address}/system", stdout=log, stderr=log
        ),
    ):
        for path in series.iterdir():
            urllib.request.urlopen(f"{address}/instances", path.read_bytes())
        (stored,) = get(f"{address}/series")
        yield address, get(f"{address}/series/{stored}")["MainDicomTags"]["SeriesInstanceUID"]


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def test_a_study_of_a_dicomweb_server_gets_its_report(serve, orthanc):
    address, uid = orthanc
    with serve(f"{address}/dicom-web", "--conf", "store_results", "true") as ask:
        _, answer = ask(f"client.infer('ct_scroll', {uid!r}, {{}})")
    assert answer["case"]["format"] == "dicom"
    modalities = {series["MainDicomTags"]["Modality"] for series in get(f"{address}/series?expand")}
    assert modalities == {"CT", "SR"}
    (study,) = get(f"{address}/studies?expand")
    assert len(study["Series"]) == 2


def test_a_study_gets_its_segmentation(serve, orthanc):
    address, uid = orthanc
    with serve(f"{address}/dicom-web", "--conf", "store_results", "true") as ask:
        mask, answer = ask(f"client.infer('ct_fm_wholebody', {uid!r}, {{}})")
    assert mask is not None
    assert "segmentation.dcm" in answer["files"]
    modalities = {series["MainDicomTags"]["Modality"] for series in get(f"{address}/series?expand")}
    assert "SEG" in modalities
    assert len(get(f"{address}/studies?expand")) == 1


def test_nothing_is_stored_unasked(serve, orthanc):
    address, uid = orthanc
    before = get(f"{address}/instances")
    with serve(f"{address}/dicom-web") as ask:
        ask(f"client.infer('ct_scroll', {uid!r}, {{}})")
    assert get(f"{address}/instances") == before
