"""CT-Scroll on one scan: logits, and how much each slice triplet moved them.

Shapes: B batch, D H W the volume, T = D / 3 triplets, C channels, L labels.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..networks.ct_scroll import ScrollClassifier
from ..networks.slice_encoder import slices_to_triplets
from .acceleration import AcceleratedInferer


class ScrollInferer(AcceleratedInferer):
    """Encode a scan's triplets fast, classify it, and say which triplets mattered.

    Args:
        device: Where the network runs; decides what `auto` precision is.
        precision: `auto`, `fp32` or `bf16`; of the slice encoder, the rest stays fp32.
        backend: `eager`, `compile` or `openvino`.
        relevance: Whether to compute relevance.
        attention_maps: Whether to return who looks at whom.

    Raises:
        InputError: If the device cannot compute so.
    """

    def __init__(
        self,
        *,
        device: torch.device | str = "cpu",
        precision: str = "auto",
        backend: str = "eager",
        relevance: bool = True,
        attention_maps: bool = False,
    ) -> None:
        super().__init__(device=device, precision=precision, backend=backend)
        self.relevance = relevance
        self.attention_maps = attention_maps

    @torch.inference_mode()
    def __call__(
        self, inputs: Tensor, network: ScrollClassifier, *_args: Any, **_kwargs: Any
    ) -> dict[str, Any]:
        """Read scans.

        Args:
            inputs: `(B, 1, D, H, W)` on the network's device, in the card's range.
            network: In evaluation mode.

        Returns:
            `logits` `(B, L)`; where asked for `relevance` `(B, L, T)`, see `triplet_relevance`,
            with `inside` `(B, T)`, whether a triplet shows the scan; `attention` name to
            `(B, T, T)` where asked for; `inference_s`, seconds.
        """
        start = time.perf_counter()
        volume = inputs.as_subclass(Tensor)
        inside = triplets_inside(volume)
        features = self.encode(volume, network, inside)
        outputs: dict[str, Any] = {"logits": network.classify(features)}
        if self.relevance:
            outputs["inside"] = inside
            outputs["relevance"] = triplet_relevance(network, features, inside)
        if self.attention_maps:
            outputs["attention"] = network.attention_maps(features)
        outputs["inference_s"] = time.perf_counter() - start
        return outputs

    def encode(
        self, volume: Tensor, network: ScrollClassifier, inside: Tensor | None = None
    ) -> Tensor:
        """Features `(B, T, C)` of scans `(B, 1, D, H, W)`.

        Triplets that hold one value throughout, as padding does, all give the same features and
        are encoded once; `inside` is what `triplets_inside` says of the scans, if it was asked.
        """
        encoder = self.accelerated(network, volume.device)
        pictures = slices_to_triplets(volume)
        empty = ~(triplets_inside(volume) if inside is None else inside).flatten()
        source = torch.arange(pictures.shape[0], device=volume.device)
        values = pictures[:, 0, 0, 0]
        for value in values[empty].unique():
            alike = empty & (values == value)
            source[alike] = source[alike][0].clone()
        wanted, place = source.unique(return_inverse=True)
        chunk = network.chunk if network.chunk > 0 else len(wanted)
        if self.backend != "eager":  # made for one size: fill the last chunk up
            wanted = torch.cat([wanted, wanted[-1:].expand(-len(wanted) % chunk)])
        parts = [encoder(pictures[part]).mean(dim=(2, 3)) for part in wanted.split(chunk)]
        return rearrange(torch.cat(parts)[place], "(b t) c -> b t c", b=len(volume))

    def part(self, network: nn.Module) -> nn.Module:
        """The slice encoder."""
        return network.get_submodule("encoder")


def triplets_inside(volume: Tensor) -> Tensor:
    """Which triplets of scans `(B, 1, D, H, W)` show anything, `(B, T)` bool.

    Padding holds one value throughout, and so does what the window makes of nothing but air.
    """
    triplets = rearrange(slices_to_triplets(volume), "(b t) s h w -> b t (s h w)", b=len(volume))
    return triplets.amin(dim=2) < triplets.amax(dim=2)


def triplet_relevance(
    network: ScrollClassifier, features: Tensor, inside: Tensor | None = None
) -> Tensor:
    """What each triplet says by itself: its logits alone, against the mean of the scan's triplets.

    Every triplet is classified as a scan of its own: `relevance[l, t] = z[l, t] - mean_t z[l, t]`.
    Positive means that it speaks for the label. Measured, with no gradient and no choice of layer.
    Taking one triplet away instead changes little where a finding spans several, since the others
    say the same: see docs/LOG.md for both, measured.

    Args:
        network: In evaluation mode.
        features: From `ScrollClassifier.encode`, `(B, T, C)`.
        inside: From `triplets_inside`, `(B, T)`; the mean is over these, and padding has none. All
            by default.

    Returns:
        Relevance in logits, `(B, L, T)`; 0 where not inside.
    """
    alone = torch.stack([network.classify(scan[:, None]) for scan in features])
    weight = torch.ones_like(alone[..., :1]) if inside is None else inside[..., None].to(alone)
    mean = (alone * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp(min=1)
    return ((alone - mean) * weight).transpose(1, 2)
