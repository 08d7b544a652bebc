"""The demo weights' relevance points at a finding that was planted, whichever it is."""

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from common.phantom import make_chest
from common.vocabulary.chest_findings import CT_RATE_LABELS

SEED = 1_200_017


@pytest.fixture(scope="module")
def demo():
    """The parts of `inference.json`, with the demo weights."""
    config = ConfigParser.load_config_file("bundles/ct_scroll/configs/inference.json")
    parser = ConfigParser({**config, "weights": "demo"})
    return {name: parser.get_parsed_content(name) for name in ("network", "inferer", "fit")}


@pytest.mark.parametrize("label", CT_RATE_LABELS)
def test_the_most_relevant_triplet_lies_at_the_planted_finding(label, demo):
    phantom = make_chest(seed=SEED, findings=[label], spacing_mm=(1.5, 1.5, 2.5))
    image = demo["fit"].preprocess(phantom.volume)
    with torch.inference_mode():
        answer = demo["inferer"](image[None], demo["network"])
    relevance = answer["relevance"][0, CT_RATE_LABELS.index(label)]
    best = int(relevance.argmax())
    height = (image.affine @ torch.tensor([3.0 * best + 1, 0, 0, 1]).double())[2]
    heights = np.array(phantom.volume.facts["points_world_mm"][label])[:, 2]
    assert relevance[best] > 0
    assert heights.min() - 6 < height < heights.max() + 6
