"""CT-Scroll written plainly: what one gets by typing the paper into torch.

All triplets at once, masks built on the CPU in every forward pass, attention weights computed and
thrown away, as in the published code; same key layout as the published checkpoint. The baseline
of the benchmarks, never used by a bundle. Sizes come from the input so that it can be compared
at other sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride > 1:
            shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, C, H, W)`."""
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(out + (x if self.downsample is None else self.downsample(x)))


def resnet18() -> nn.Sequential:
    """ResNet-18 without pooling and classifier."""
    stages = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        *(
            nn.Sequential(BasicBlock(before, after, stride), BasicBlock(after, after, 1))
            for before, after, stride in stages
        ),
    )


class GatedMLP(nn.Module):
    """Half of a linear map times GELU of the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.ModuleDict({"gated_layers": nn.Linear(512, 1024, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, T, 512)`."""
        value, gate = self.mlp["gated_layers"](x).chunk(2, dim=-1)
        return value * functional.gelu(gate)  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Attention, then gated product; the third one's norms are called differently."""

    def __init__(self, norms: tuple[str, str]) -> None:
        super().__init__()
        self.norms = norms
        for name in norms:
            setattr(self, name, nn.LayerNorm(512))
        self.attention = nn.MultiheadAttention(512, 8, dropout=0.1, batch_first=True)
        self.mlp = GatedMLP()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Tokens `(B, T, 512)`; mask `(T, T)` is true where a query may not look."""
        mask = mask.repeat(x.shape[0] * 8, 1, 1).to(x.device)
        h = getattr(self, self.norms[0])(x)
        x = x + self.attention(h, h, h, attn_mask=mask)[0]
        return x + self.mlp(getattr(self, self.norms[1])(x))  # type: ignore[no-any-return]


class ScrollingBlock(nn.Module):
    """The whole scan, what lies below, what lies above."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self.global_block = AttentionBlock(("norm_in", "norm_out"))
        self.caudal_cranial_block = AttentionBlock(("norm_in", "norm_out"))
        self.cranial_caudal_block = AttentionBlock(("norm1", "norm2"))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, T, 512)`."""
        number = x.shape[1]
        below = torch.ones(number, number, dtype=torch.bool)
        for i in range(number):
            below[i, max(0, i - self.window + 1) : i + 1] = False
        x = self.global_block(x, torch.zeros(number, number, dtype=torch.bool))
        x = self.caudal_cranial_block(x, below)
        return self.cranial_caudal_block(x, below.T)  # type: ignore[no-any-return]


class PlainCTScroll(nn.Module):
    """The published network, in the published layout.

    Args:
        num_classes: Labels `L`.
        window: Triplets that a directed reading sees, the own one included.
    """

    def __init__(self, num_classes: int = 18, window: int = 16) -> None:
        super().__init__()
        self.features = resnet18()
        self.projection_gap = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.2))
        self.blocks = nn.ModuleList([ScrollingBlock(window)])
        self.layer_norm_out = nn.LayerNorm(512)
        self.classifier = nn.Sequential(
            nn.Linear(512, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, num_classes)
        )

    def forward(self, volume: Tensor) -> Tensor:
        """Logits `(B, L)` of volumes `(B, 1, D, H, W)`."""
        batch, _, depth, height, width = volume.shape
        maps = self.features(volume.reshape(batch * depth // 3, 3, height, width))
        x = self.projection_gap(maps.mean(dim=(2, 3)).view(batch, depth // 3, 512))
        for block in self.blocks:
            x = block(x)
        return self.classifier(self.layer_norm_out(x).mean(dim=1))  # type: ignore[no-any-return]
