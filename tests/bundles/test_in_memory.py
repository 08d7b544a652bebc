"""A host that holds a scan in memory, such as MONAI Deploy's bundle operator, feeds any bundle."""

from pathlib import Path

import nibabel as nib
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import LoadImage

from common.bundle.catalog import list_bundles
from common.phantom.export import write_phantom_case

BUNDLES = [Path(bundle.path) for bundle in list_bundles()]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_preprocessing_gives_the_numbers_that_the_file_gives(bundle: Path, tmp_path: Path):
    region = "head" if bundle.name == "ct_fm_triage" else "chest"
    path = write_phantom_case(tmp_path, seed=7, region=region, spacing_mm=(5.0, 5.0, 8.0))
    config = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "inference.json"))
    config["weights"] = "demo"
    preprocessing = config.get_parsed_content("preprocessing")
    wanted = preprocessing({"case_id": "a", "image": str(path), "format": "nifti"})
    loaded = LoadImage(image_only=True)(path)
    assert isinstance(loaded, MetaTensor)
    found = preprocessing({"image": loaded})
    assert torch.equal(found["image"].as_tensor(), wanted["image"].as_tensor())
    assert found["volume"].affine.tolist() == nib.load(path).affine.tolist()
