"""The bundles behind MONAI Label, with a folder of NIfTI."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from .conftest import LABEL_APP, REPOSITORY

pytestmark = pytest.mark.label


def infer(server, image, bundle="ct_scroll"):
    reply = server.send("POST", f"/infer/{bundle}?image={image}&output=json", {"params": "{}"})
    assert reply.status == 200, reply.body
    return reply.json


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


def test_the_server_tells_of_every_bundle(server):
    info = server("client.info()")
    assert info["name"] == "CT bundles"
    model = info["models"]["ct_scroll"]
    assert model["labels"]["Pleural effusion"] == 13
    assert model["config"]["weights"] == ["auto", "demo"]
    assert info["models"]["ct_fm_wholebody"]["labels"]["liver"] == 5
    assert info["models"]["ct_fm_encoder"]["labels"] == {"seen by the network": 1}


def test_the_answer_is_the_commands_own_result(server, studies, tmp_path):
    _, answer = server("client.infer('ct_scroll', 'case1', {'weights': 'demo'})")
    wanted = by_command(studies / "case1.nii.gz", tmp_path / "out")
    assert answer.keys() - wanted.keys() == {"label_names", "centroids"}
    assert answer["outputs"] == wanted["outputs"]
    assert answer["weights"] == wanted["weights"]


def test_a_mask_comes_back_on_the_images_grid(server, studies):
    mask, answer = server("client.infer('ct_fm_wholebody', 'small', {'weights': 'demo'})")
    found, image = nib.load(mask), nib.load(studies / "small.nii.gz")
    assert found.shape == image.shape
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-4)
    numbers = set(np.unique(np.asarray(found.dataobj)).tolist()) - {0}
    told = {each["number"] for each in answer["outputs"]["structures"].values()}
    assert numbers == told


def test_an_image_can_be_sent_along(server, studies):
    path = studies / "case1.nii.gz"
    _, answer = server(f"client.infer('ct_scroll', '', {{}}, file={str(path)!r})")
    assert answer["outputs"] == infer(server, "case1")["outputs"]


def test_a_session_serves_as_an_image(server, studies):
    path = studies / "case1.nii.gz"
    session = server(f"client.create_session({str(path)!r})")["session_id"]
    _, answer = server(f"client.infer('ct_scroll', '', {{}}, session_id={session!r})")
    assert answer["outputs"] == infer(server, "case1")["outputs"]
    assert server.send("GET", f"/session/{session}?image=true").body == path.read_bytes()


def test_what_is_no_ct_is_answered_with_the_reason(server):
    with pytest.raises(AssertionError, match=r"Status: 422; Response: .*must be a CT, got"):
        server("client.infer('ct_scroll', 'picture', {})")
    assert infer(server, "case1")["clinical_use"] is False  # and the server goes on


def test_the_next_sample_is_the_first_without_a_label(server):
    assert server("client.next_sample('first', {})")["id"] == "case1"
    reply = server.send("POST", "/activelearning/last")
    assert reply.status == 404
    assert "no such strategy 'last'" in reply.json["detail"]


def test_two_requests_at_once_get_each_its_own_answer(server):
    images = ["case1", "case2"] * 2
    alone = {image: infer(server, image)["outputs"] for image in ("case1", "case2")}
    assert alone["case1"] != alone["case2"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda image: infer(server, image), images))
    assert [answer["case"]["case_id"] for answer in answers] == images
    assert [answer["outputs"] for answer in answers] == [alone[image] for image in images]


def test_the_server_answers_while_a_bundle_runs(server):
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(infer, server, "small", "ct_fm_wholebody")
        time.sleep(0.2)
        assert server.send("GET", "/info/").status == 200
        assert not running.done()
        assert running.result()["case"]["case_id"] == "small"


def test_nothing_temporary_stays_whether_a_request_succeeds_or_fails(server, studies):
    infer(server, "case1")
    scan = (studies / "small.nii.gz").read_bytes()
    before = sorted(server.temporary.rglob("*"))
    infer(server, "case1")
    for output in ("image", "all"):
        server.send("POST", f"/infer/ct_scroll?image=case1&output={output}", {"params": "{}"})
    for sent in (scan, scan[:1000], b"nothing"):  # whole, cut off, no image
        server.send("POST", "/infer/ct_scroll", {"params": "{}"}, [("file", "a.nii.gz", sent)])
    server.send("POST", "/infer/ct_scroll?image=picture", {"params": "{}"})
    server.send("POST", "/infer/ct_scroll?image=nobody", {"params": "{}"})
    server.send("PUT", "/datastore/image?image=case1", files=[("file", "a.nii.gz", scan)])
    assert sorted(server.temporary.rglob("*")) == before


def test_a_request_that_is_given_up_leaves_nothing(server):
    before = sorted(server.temporary.rglob("*"))
    code = f"""
import http.client, time
asked = http.client.HTTPConnection({server.address.removeprefix("http://")!r})
asked.request("POST", "/infer/ct_scroll?image=case1")
time.sleep(0.3)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    infer(server, "case2")  # waits until the other run is over
    time.sleep(0.5)
    assert sorted(server.temporary.rglob("*")) == before


def test_a_process_that_dies_is_an_error_and_the_next_request_starts_another(server):
    infer(server, "case1")
    before = sorted(server.temporary.rglob("*"))
    with ThreadPoolExecutor(1) as pool:
        path = "/infer/ct_fm_wholebody?image=case1&output=json"
        running = pool.submit(server.send, "POST", path, {"params": "{}"})
        time.sleep(2)
        subprocess.run(["kill", "-9", worker_of(server)], check=True)
        reply = running.result()
    assert reply.status == 500
    assert "the bundles' process ended" in reply.json["detail"]
    assert infer(server, "case1")["case"]["case_id"] == "case1"
    assert sorted(server.temporary.rglob("*")) == before


def worker_of(server):
    """The process id of the server's bundles: the one with its temporary folder."""
    asked = subprocess.run(["pgrep", "-f", "label_app/worker.py"], capture_output=True, text=True)
    wanted = f"TMPDIR={server.temporary}".encode()
    (found,) = (
        pid
        for pid in asked.stdout.split()
        if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    )
    return found


def test_a_run_that_takes_too_long_is_ended(label_python, tmp_path):
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    script = f"""
import sys
sys.path.insert(0, {str(LABEL_APP)!r})
import bundle_process
bundle_process.WORKER = {str(tmp_path / "slow.py")!r}
process = bundle_process.BundleProcess(sys.executable, keep_gb=1, timeout_s=1)
try:
    process.ask(do="list")
except bundle_process.HTTPException as error:
    print(error.status_code, error.detail, process._process)
"""
    said = subprocess.run(
        [label_python, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == "504 the run took more than 1 s and was ended None"


def test_an_unknown_bundle_stops_the_server(serve, studies):
    with (
        pytest.raises(AssertionError, match="ended with"),
        serve(studies, "--conf", "bundles", "ct_skroll"),
    ):
        pass
