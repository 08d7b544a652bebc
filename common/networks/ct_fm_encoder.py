"""CT-FM's encoder as a network of one answer: its coarsest map, which is what embeds a scan.

Pai et al., arXiv 2501.09001. The encoder is MONAI's `SegResEncoder`; all that is added is which of
its maps counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets.segresnet_ds import SegResEncoder
from torch import Tensor, nn


class CTFMEncoder(nn.Module):
    """MONAI's `SegResEncoder`, one channel in, its last map out.

    A scan is embedded by the mean over the places of this map. It is taken after the residual
    blocks, with neither norm nor activation behind it, so numbers may be negative.

    Args:
        init_filters: Channels of the finest level; each level has twice as many as the one before.
        blocks_down: Residual blocks of each level.
    """

    def __init__(
        self, *, init_filters: int = 32, blocks_down: Sequence[int] = (1, 2, 2, 4, 4)
    ) -> None:
        super().__init__()
        self.encoder = SegResEncoder(
            spatial_dims=3, in_channels=1, init_filters=init_filters, blocks_down=tuple(blocks_down)
        )

    @property
    def stride(self) -> int:
        """Voxels from one place of the map to the next; place j lies over voxel `stride * j`."""
        return int(2 ** (len(self.encoder.blocks_down) - 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map images `(n, 1, d, h, w)` to `(n, F, ...)`: F, published 512, numbers per place.

        Every level after the first halves the sides, rounding up.
        """
        maps: list[Tensor] = self.encoder(image)
        return maps[-1]
