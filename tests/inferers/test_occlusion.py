"""What an embedding rests on, by hiding it: against MONAI's own, and where the answer is known."""

import pytest
import torch
from monai.visualize import OcclusionSensitivity

from common.errors import InputError
from common.inferers.occlusion import OcclusionInferer, smooth
from common.networks.ct_fm_encoder import CTFMEncoder


def inferer(**options):
    options = {"precision": "fp32", "progress": False, "blur_voxels": 0, **options}
    return OcclusionInferer(**options)


def noise(*size):
    return torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(1))


class Turn(torch.nn.Module):
    """1 - cosine to a scan's own embedding, as MONAI's loop wants it: one number per image."""

    def __init__(self, encoder, image):
        super().__init__()
        self.encoder = encoder
        self.base = encoder(image).mean(dim=(2, 3, 4))

    def forward(self, images):
        vectors = self.encoder(images).mean(dim=(2, 3, 4))
        return 1 - torch.cosine_similarity(vectors, self.base)[:, None]


@torch.no_grad()
def test_the_same_as_monais_loop():
    torch.manual_seed(0)
    encoder, image = CTFMEncoder(init_filters=4, blocks_down=[1, 1, 1]).eval(), noise(16, 12, 16)
    theirs = OcclusionSensitivity(
        Turn(encoder, image), mask_size=6, n_batch=4, overlap=0.25, activate=False, verbose=False
    )
    expected, _ = theirs(image)
    ours = inferer(mask_size=6)(image, encoder)["saliency"]
    assert ours.max() > 1e-4
    torch.testing.assert_close(torch.tensor(ours), expected[0, 0], rtol=1e-3, atol=1e-6)


def test_what_the_embedding_rests_on_lights_up():
    """Two numbers per scan, one of them seen in a corner alone: hiding that corner turns it."""

    def corner(images):
        seen = images[:, :, :4, :4, :4].mean(dim=(2, 3, 4))
        return torch.cat([seen, torch.full_like(seen, 0.5)], dim=1)[..., None, None, None]

    one = inferer(mask_size=4, overlap=0)
    one.accelerated = lambda *_: corner
    found = one(torch.ones(1, 1, 12, 12, 12), torch.nn.Identity())
    assert found["num_masks"] == 27
    assert found["saliency"][:4, :4, :4].max() == found["saliency"].max() > 1e-3
    assert found["saliency"][4:].max() < 1e-6


def test_masks_over_air_are_not_run():
    torch.manual_seed(0)
    encoder = CTFMEncoder(init_filters=4, blocks_down=[1, 1]).eval()
    image = noise(16, 16, 16)
    image[:, :, 8:] = 0
    found = inferer(mask_size=8, overlap=0)(image, encoder)
    assert (found["num_masks"], found["num_empty"]) == (8, 4)
    assert found["saliency"][8:].max() == 0
    batched = inferer(mask_size=8, overlap=0, masks_at_once=3)(image, encoder)
    torch.testing.assert_close(
        torch.tensor(batched["saliency"]), torch.tensor(found["saliency"]), rtol=1e-3, atol=1e-6
    )


def test_smoothing_keeps_what_is_even():
    even = torch.full((1, 1, 9, 8, 7), 0.25)
    torch.testing.assert_close(smooth(even, 4.0, 7), even)
    assert smooth(even, 0.0, 7) is even
    point = torch.zeros(1, 1, 15, 15, 15)
    point[0, 0, 7, 7, 7] = 1
    assert smooth(point, 4.0, 7)[0, 0, 7, 7, 3] == 0
    assert 0 < smooth(point, 4.0, 7)[0, 0, 7, 7, 4] < smooth(point, 4.0, 7)[0, 0, 7, 7, 7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_size": 0}, "mask_size must be one or three numbers of voxels, got 0"),
        ({"mask_size": (4, 4)}, "mask_size must be one or three numbers"),
        ({"overlap": 1.0}, "overlap must be from 0 up to but below 1"),
        ({"masks_at_once": 0}, "masks_at_once must be 1 or more"),
        ({"blur_size": 6}, "blur must be 0 or more voxels with an odd kernel, got 0 and 6"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        inferer(**options)


def test_a_scan_of_air_is_refused():
    encoder = CTFMEncoder(init_filters=4, blocks_down=[1, 1]).eval()
    with pytest.raises(InputError, match="image must hold something to hide"):
        inferer()(torch.zeros(1, 1, 16, 16, 16), encoder)
