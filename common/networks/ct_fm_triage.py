"""CT-FM's encoder with a small head that classifies a whole scan: head CT triage.

Pai et al., arXiv 2501.09001. The authors stack four windowed copies of a head CT along depth, so
that the encoder's one input channel, and with it its published weights, fit. Copies as channels
need another first convolution; see `start_from` for how weights of one channel start that.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets.segresnet_ds import SegResEncoder
from torch import Tensor, nn


class CTFMTriage(nn.Module):
    """MONAI's `SegResEncoder`, the mean of its last map, two linear layers.

    Args:
        num_classes: Labels L.
        in_channels: Copies of the scan that come as channels: 1 where they are stacked in depth.
        init_filters: Channels of the finest level; each level has twice as many as the one before.
        blocks_down: Residual blocks of each level.
        head_width: Hidden units of the head.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1,
        in_channels: int = 1,
        init_filters: int = 32,
        blocks_down: Sequence[int] = (1, 2, 2, 4, 4),
        head_width: int = 256,
    ) -> None:
        super().__init__()
        self.encoder = SegResEncoder(
            spatial_dims=3,
            in_channels=in_channels,
            init_filters=init_filters,
            blocks_down=tuple(blocks_down),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(init_filters * 2 ** (len(blocks_down) - 1), head_width),
            nn.ReLU(),
            nn.Linear(head_width, num_classes),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Classify scans.

        Args:
            image: Windowed copies in [0, 1], `(B, in_channels, D, H, W)`, any size; D runs from
                foot to head, H from front to back, W from right to left.

        Returns:
            Logits `(B, L)`.
        """
        maps: list[Tensor] = self.encoder(image)
        logits: Tensor = self.head(maps[-1])
        return logits
