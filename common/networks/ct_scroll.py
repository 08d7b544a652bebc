"""CT-Scroll: abnormalities of a chest CT from slice triplets that scroll through the body.

Di Piazza et al., MIDL 2025, arXiv 2503.20652. A 2D ResNet-18 reads each triplet of axial slices;
attention over the triplets looks at the whole scan, then from the feet up, then from the head
down. Differences to the published code, all compatible with its weights: any number of triplets
and any picture size, logits without labels, chunked encoding, optional masking of padding.

Shapes: B batch, D slices from feet to head, H W picture, T = D / 3 triplets, C channels, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .gated_attention import GatedAttention, forbidden_outside_window
from .slice_encoder import SliceEncoder, slices_to_triplets


class ScrollBlock(nn.Module):
    """Three readings in a row: the whole scan, downwards neighbours, upwards neighbours.

    Args:
        dim: Channels `C`.
        num_heads: Attention heads.
        window: Triplets that the second and third reading see, the own one included.
    """

    def __init__(self, dim: int, *, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.num_heads = num_heads
        self.whole_scan = GatedAttention(dim, num_heads=num_heads)
        self.caudal_cranial = GatedAttention(dim, num_heads=num_heads)
        self.cranial_caudal = GatedAttention(dim, num_heads=num_heads)

    def masks(self, num_tokens: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Boolean `(T, T)` masks of the three readings, true where a query may not look."""
        everything = forbidden_outside_window(num_tokens, 0, device)
        below = forbidden_outside_window(num_tokens, self.window, device)
        return everything, below, below.transpose(0, 1)

    def forward(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        """Read tokens `(B, T, C)`; `padding` `(B, T)` is true where a token is not to be seen."""
        everything, below, above = self.masks(tokens.shape[1], tokens.device)
        tokens = self.whole_scan(tokens, self._hide(everything, padding))
        tokens = self.caudal_cranial(tokens, self._hide(below, padding))
        return self.cranial_caudal(tokens, self._hide(above, padding))  # type: ignore[no-any-return]

    def _hide(self, forbidden: Tensor, padding: Tensor | None) -> Tensor:
        """Forbid padding keys to all but themselves, so that no row is left without a key."""
        if padding is None:
            return forbidden
        itself = torch.eye(forbidden.shape[0], dtype=torch.bool, device=forbidden.device)
        hidden = forbidden | (padding[:, None, :] & ~itself)
        return hidden.repeat_interleave(self.num_heads, dim=0)


class ScrollClassifier(nn.Module):
    """CT-Scroll's network.

    Args:
        num_classes: Labels `L`.
        embedding_dim: Channels `C` of a triplet's token.
        windows: One window per scrolling block, in triplets.
        num_heads: Attention heads.
        stem_width: First channels of the slice encoder; 64 is ResNet-18, as published.
        encoder_layers: Basic blocks per stage of the slice encoder.
        head_width: Hidden units of the classification head.
        chunk: Triplets encoded at a time outside training; 0 takes all at once.
    """

    def __init__(
        self,
        *,
        num_classes: int = 18,
        embedding_dim: int = 512,
        windows: Sequence[int] = (16,),
        num_heads: int = 8,
        stem_width: int = 64,
        encoder_layers: Sequence[int] = (2, 2, 2, 2),
        head_width: int = 128,
        chunk: int = 2,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.chunk = chunk
        self.encoder = SliceEncoder(stem_width=stem_width, layers=encoder_layers)
        self.projection = nn.Sequential(
            nn.Linear(self.encoder.out_channels, embedding_dim), nn.ReLU(), nn.Dropout(0.2)
        )
        self.blocks = nn.ModuleList(
            [ScrollBlock(embedding_dim, num_heads=num_heads, window=window) for window in windows]
        )
        self.norm = nn.LayerNorm(embedding_dim)
        self.head = nn.Sequential(
            nn.Linear(embedding_dim, head_width),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(head_width, num_classes),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """Classify a scan.

        Args:
            volume: HU scaled as the card says, `(B, 1, D, H, W)`; D a multiple of 3, first slice
                at the feet; H runs from right to left, W from front to back. Or the features
                `(B, T, 8 * stem_width)` that `encode` made of it, to train the rest alone.

        Returns:
            Logits `(B, L)`.
        """
        if volume.dim() == 3:
            return self.classify(volume)
        return self.classify(self.encode(volume))

    def encode(self, volume: Tensor) -> Tensor:
        """One feature vector per triplet, before any triplet knows of another.

        These can be kept to train what follows without encoding again. Outside training the
        triplets go through a few at a time: memory follows the chunk, not the scan.

        Args:
            volume: `(B, 1, D, H, W)`.

        Returns:
            Features `(B, T, 8 * stem_width)`.
        """
        pictures = slices_to_triplets(volume)
        chunk = pictures.shape[0] if self.training or self.chunk <= 0 else self.chunk
        parts = [self.encoder(part).mean(dim=(2, 3)) for part in pictures.split(chunk)]
        features = torch.cat(parts)
        return features.reshape(volume.shape[0], -1, features.shape[-1])

    def classify(self, features: Tensor, padding: Tensor | None = None) -> Tensor:
        """Logits from triplet features.

        Args:
            features: `(B, T, 8 * stem_width)`.
            padding: `(B, T)`, true for triplets that neither attention nor the mean may use.
                The published weights were trained without it.

        Returns:
            Logits `(B, L)`.
        """
        tokens = self.projection(features)
        for block in self.blocks:
            tokens = block(tokens, padding)
        tokens = self.norm(tokens)
        if padding is None:
            pooled = tokens.mean(dim=1)
        else:
            seen = (~padding).unsqueeze(-1).to(tokens.dtype)
            pooled = (tokens * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)
        return self.head(pooled)  # type: ignore[no-any-return]

    @torch.no_grad()
    def attention_maps(self, features: Tensor) -> dict[str, Tensor]:
        """Who looks at whom, for each reading of each block.

        Args:
            features: `(B, T, 8 * stem_width)`.

        Returns:
            `block0_whole_scan`, `block0_caudal_cranial`, ...: `(B, T, T)`, mean over heads,
            rows (queries) sum to 1.
        """
        maps = {}
        tokens = self.projection(features)
        for index, block in enumerate(self.blocks):
            names = ("whole_scan", "caudal_cranial", "cranial_caudal")
            assert isinstance(block, ScrollBlock)
            masks = block.masks(tokens.shape[1], tokens.device)
            for name, mask in zip(names, masks, strict=True):
                reading = getattr(block, name)
                maps[f"block{index}_{name}"] = reading.attention_map(tokens, mask)
                tokens = reading(tokens, mask)
        return maps
