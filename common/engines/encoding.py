"""Replace a scan by its encoder features, so that what follows the encoder trains in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import MapTransform
from torch import Tensor

from ..inferers.scroll import ScrollInferer
from ..networks.ct_scroll import ScrollClassifier
from ..transforms.caching import cache_folder


class EncodeTripletsd(MapTransform):
    """Encode a preprocessed scan once; meant as the last step before a cache.

    Args:
        keys: Where the scan `(1, D, H, W)` is; becomes features `(T, C)`, a plain float32 tensor
            on the CPU.
        network: Its encoder is used as it is now, in evaluation mode; it is not trained along.
        inferer: How to encode.
    """

    def __init__(
        self, keys: str | Sequence[str], *, network: ScrollClassifier, inferer: ScrollInferer
    ) -> None:
        super().__init__(keys)
        self._network = network  # which encoder it has, `features_folder` tells caches
        self.inferer = inferer

    @torch.inference_mode()
    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Encode."""
        result = dict(data)
        device = next(self._network.parameters()).device
        for key in self.key_iterator(result):
            scan = result[key].as_subclass(Tensor)[None].to(device)
            result[key] = self.inferer.encode(scan, self._network)[0].cpu().clone()
        return result


def features_folder(
    root: str | Path,
    *,
    network: ScrollClassifier,
    preprocessing: Mapping[str, Any],
    precision: str,
) -> Path:
    """A cache folder of its own for each encoder, so that none reads another's features.

    Args:
        root: Where such folders are.
        network: Its encoder's weights are part of the name.
        preprocessing: Of the card.
        precision: Of the encoder.
    """
    digest = hashlib.sha256()
    for name, tensor in network.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return cache_folder(
        root, preprocessing=preprocessing, precision=precision, encoder=digest.hexdigest()
    )
