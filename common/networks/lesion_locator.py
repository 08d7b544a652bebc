"""Training help for a triage network: say where in the head something is wrong.

A scan's one label reaches the encoder through a mean over all places of its last map, and a small
lesion is a few of hundreds. Where truth is known in space, linear read-outs of the last two maps
learn from it directly. They are used in training only and are no part of the saved network.

Shapes: B batch, D H W the input, L labels.
"""

from __future__ import annotations

from torch import Tensor, nn

from .ct_fm_triage import CTFMTriage

PRIOR_LOGIT = -3.0
"""A place starts with 5 % of a lesion, as Lin et al., arXiv 1708.02002, start their detector."""


class LesionLocator(nn.Module):
    """A triage network with read-outs of its encoder's last two maps.

    Args:
        network: Trained as a whole.
    """

    def __init__(self, network: CTFMTriage) -> None:
        super().__init__()
        self.network = network
        linear = network.head[2]
        assert isinstance(linear, nn.Linear)
        channels = linear.in_features
        self.fine = nn.Conv3d(channels // 2, 1, 1)
        self.coarse = nn.Conv3d(channels, 1, 1)
        for read_out in (self.fine, self.coarse):
            nn.init.constant_(read_out.get_parameter("bias"), PRIOR_LOGIT)
        self.to(next(network.parameters()).device)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classify scans and locate what is wrong.

        Args:
            image: As `CTFMTriage` takes it.

        Returns:
            Logits of places on the last map but one `(B, 1, d, h, w)` and on the last, whose sides
            are half of that, rounded up; and of the scans `(B, L)`.
        """
        maps: list[Tensor] = self.network.encoder(image)
        return self.fine(maps[-2]), self.coarse(maps[-1]), self.network.head(maps[-1])
