"""3D Slicer and OHIF list every bundle and show its answer, by their own clients' code."""

import json
import re
import subprocess

import nibabel as nib
import nrrd
import numpy as np
import pytest

pytestmark = pytest.mark.label
ASKED = {"ct_scroll": "case1", "ct_fm_encoder": "small", "ct_fm_triage": "head",
         "ct_fm_wholebody": "small"}  # fmt: skip
SLICER = """
import importlib.util, json, sys, tempfile
spec = importlib.util.spec_from_file_location("client", sys.argv[1])
client = importlib.util.module_from_spec(spec)
spec.loader.exec_module(client)
wanted = {"result_extension": ".nrrd", "result_dtype": "uint8"}  # as MONAILabel.py, infer
asked = client.MONAILabelClient(sys.argv[2], tmpdir=sys.argv[5])
print(json.dumps(asked.infer(sys.argv[3], sys.argv[4], wanted)))
"""


@pytest.fixture(scope="module")
def slicer_plugin(label_python):
    """The folder of 3D Slicer's extension in MONAI Label's own wheel."""
    return label_python.parents[1] / "monailabel" / "plugins" / "slicer" / "MONAILabel"


@pytest.fixture(scope="module")
def ohif_plugin(label_python):
    """OHIF's extension, as built in MONAI Label's own wheel."""
    (folder,) = label_python.parents[1].glob("lib/*/site-packages/monailabel/endpoints/static/ohif")
    (built,) = (
        path for path in folder.glob("*.js") if b"class MonaiLabelClient" in path.read_bytes()
    )
    return built.read_text()


def test_both_viewers_list_every_bundle(server, slicer_plugin, ohif_plugin):
    models = server.send("GET", "/info/").json["models"]
    assert models.keys() == set(ASKED)
    slicer = (slicer_plugin / "MONAILabel.py").read_text()
    (listed,) = re.findall(
        r"updateSelector\(self\.ui\.segmentationModelSelector, (\[.*?\])", slicer
    )
    ohif = re.search(r"getModels\(\) \{.*?return models;", ohif_plugin, re.DOTALL).group()
    for model in models.values():
        assert model["type"] in json.loads(listed)
        assert f"type === '{model['type']}'" in ohif
        assert sorted(model["labels"].values()) == list(range(1, len(model["labels"]) + 1))


@pytest.mark.parametrize("bundle", ASKED)
def test_slicer_shows_every_bundles_answer(
    server, studies, slicer_plugin, label_python, tmp_path, bundle
):
    answered = subprocess.run(
        [label_python, "-c", SLICER, slicer_plugin / "MONAILabelLib" / "client.py", server.address,
         bundle, ASKED[bundle], tmp_path],
        capture_output=True, text=True, check=True, env=server.environment,
    )  # fmt: skip
    file, params = json.loads(answered.stdout)
    names = [name for name, _ in sorted(params["label_names"].items(), key=lambda item: item[1])]
    labels, header = nrrd.read(file)
    image = nib.load(studies / f"{ASKED[bundle]}.nii.gz")
    assert labels.shape == image.shape
    lps = np.diag([-1, -1, 1]) @ image.affine[:3]
    np.testing.assert_allclose(header["space directions"].T, lps[:, :3], atol=1e-4)
    np.testing.assert_allclose(header["space origin"], lps[:, 3], atol=1e-3)
    # Slicer gives the first name to voxels of 1, the second to those of 2, and so on.
    shown = {names[number - 1] for number in np.unique(labels) if number}
    assert shown == expected(bundle, params["outputs"])
    assert params["clinical_use"] is False


def expected(bundle, outputs):
    if bundle == "ct_fm_wholebody":
        return set(outputs["structures"])
    if bundle == "ct_scroll":
        return {name for name, each in outputs["findings"].items() if each["positive"]}
    return {"seen by the network"}


def as_ohif_parses(content):
    """What nrrd-js makes of a file: the fields of its header and the bytes after it."""
    head, _, data = content.partition(b"\n\n")
    lines = [line for line in head.decode().split("\n")[1:] if ":" in line and line[0] != "#"]
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}, data


@pytest.mark.parametrize("bundle", ASKED)
def test_ohif_shows_every_bundles_answer(server, studies, ohif_plugin, bundle):
    assert "output = 'image'" in ohif_plugin  # how it asks, and with what
    asked = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False,
             "restore_label_idx": False}  # fmt: skip
    assert all(f"params.{key} =" in ohif_plugin for key in asked)
    image = ASKED[bundle]
    reply = server.send(
        "POST", f"/infer/{bundle}?image={image}&output=image", {"params": json.dumps(asked)}
    )
    assert reply.status == 200
    header, data = as_ohif_parses(reply.body)
    shape = nib.load(studies / f"{image}.nii.gz").shape
    assert (header["encoding"], header["type"]) == ("raw", "unsigned char")
    assert header["sizes"].split() == [str(size) for size in shape]
    assert len(data) == np.prod(shape)  # it reads them as they lie: new Uint8Array(image)
    listed = server.send("GET", "/info/").json["models"][bundle]["labels"]
    assert set(data) - {0} <= set(listed.values())


def test_the_slabs_of_a_finding_lie_where_its_result_says(server):
    file, params = server("client.infer('ct_scroll', 'case1', {})")
    labels = np.asarray(nib.load(file).dataobj)
    positive = [name for name, each in params["outputs"]["findings"].items() if each["positive"]]
    assert positive
    for name in positive:
        told = [t["slices_voxel"] for t in params["outputs"]["relevance"][name]["top_triplets"]]
        slices = {k for first, last in filter(None, told) for k in range(first, last + 1)}
        found = np.flatnonzero((labels == params["label_names"][name]).any(axis=(0, 1)))
        assert set(found.tolist()) == slices


def test_a_mask_of_more_bits_comes_where_asked_for(server):
    asked = {"result_extension": ".nrrd", "result_dtype": "uint16", "result_compress": False}
    wide, params = server(f"client.infer('ct_fm_triage', 'head', {asked!r})")
    labels, header = nrrd.read(wide)
    assert (labels.dtype, header["encoding"]) == (np.uint16, "raw")
    assert params["centroids"] == {}  # an older OHIF reads them
    with pytest.raises(AssertionError, match=r"result_dtype must be one of uint8, uint16, got f"):
        server("client.infer('ct_fm_triage', 'head', {'result_dtype': 'float32'})")
    with pytest.raises(AssertionError, match=r"result_extension must be one of .*, got \.png"):
        server("client.infer('ct_fm_triage', 'head', {'result_extension': '.png'})")
