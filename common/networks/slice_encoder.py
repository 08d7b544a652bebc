"""A 2D residual network that reads a 3D scan as a pile of three-slice pictures.

Shapes: B batch, D axial slices, H rows, W columns, T = D / 3 triplets, C channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn


def slices_to_triplets(volume: Tensor) -> Tensor:
    """Group neighbouring axial slices three by three.

    Args:
        volume: CT scaled for the network, `(B, 1, D, H, W)`, first slice at the feet.

    Returns:
        Triplets in slice order, `(B * T, 3, H, W)`; a view, nothing is copied.

    Raises:
        ValueError: If `volume` has more than one channel or `D` is not a multiple of 3.
    """
    if volume.dim() != 5 or volume.shape[1] != 1:
        msg = (
            f"volume must have shape (B, 1, D, H, W), got {list(volume.shape)}; "
            "add the batch and channel axes"
        )
        raise ValueError(msg)
    depth = volume.shape[2]
    if depth % 3 != 0:
        msg = (
            f"volume must have a number of slices divisible by 3, got {depth}; "
            f"pad it to {depth + 3 - depth % 3} slices"
        )
        raise ValueError(msg)
    return volume.reshape(-1, 3, volume.shape[3], volume.shape[4])


class SliceEncoder(nn.Sequential):
    """ResNet without its classifier: pictures to feature maps at 1/32 of their size.

    MONAI's 2D ResNet with torchvision's names, so that ImageNet weights fit as they are.

    Args:
        stem_width: Channels after the first convolution; 64 is ResNet-18. The last stage has
            8 times as many.
        layers: Basic blocks in each of the four stages.
    """

    def __init__(self, *, stem_width: int = 64, layers: Sequence[int] = (2, 2, 2, 2)) -> None:
        resnet = ResNet(
            block="basic",
            layers=list(layers),
            block_inplanes=[stem_width, 2 * stem_width, 4 * stem_width, 8 * stem_width],
            spatial_dims=2,
            n_input_channels=3,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        names = ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4")
        super().__init__(OrderedDict((name, getattr(resnet, name)) for name in names))
        self.out_channels = 8 * stem_width
