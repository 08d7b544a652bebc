"""Look for a point's counterpart in a scan: which place there embeds most alike.

Pai et al., arXiv 2501.09001, search windows of 64 voxels at 1 mm. The one large map in their place
is ours; see `common.inferers.places`.

Shapes: D H W the network's grid, F numbers per vector.
"""

from __future__ import annotations

import time
from typing import Any

from monai.inferers import Inferer
from torch import Tensor, nn

from ..inferers.acceleration import weights_state
from ..inferers.places import PlaceEncoder
from .point_query import PointQuery


class PointSearchInferer(Inferer):
    """Search scans for one point.

    Args:
        query: The point and its scan; embedded once, with the first scan that is searched.
        encoder: How scans become vectors with places.
    """

    def __init__(self, *, query: PointQuery, encoder: PlaceEncoder) -> None:
        super().__init__()
        self.query = query
        self.encoder = encoder
        self.precision = encoder.precision
        self._found: tuple[object, Tensor] | None = None

    def __call__(
        self, inputs: Tensor, network: nn.Module, *_args: Any, **_kwargs: Any
    ) -> dict[str, Any]:
        """Search one scan.

        Args:
            inputs: `(1, 1, D, H, W)` on the network's device, in the card's range.
            network: In evaluation mode; gives a map `(n, F, ...)`, as `CTFMEncoder` does.

        Returns:
            `map`, a `CosineMap`; `point_voxel` `(3,)`, the best place on the network's grid;
            `cosine`, of it, -1 to 1; `inference_s`, seconds for this scan, without the query's.
        """
        vector = self._vector(network, inputs)
        start = time.perf_counter()
        found = self.encoder.places(inputs, network).compare(vector)
        point, cosine = found.best(between=self.encoder.between)
        return {
            "map": found,
            "point_voxel": point,
            "cosine": cosine,
            "inference_s": time.perf_counter() - start,
        }

    def _vector(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """The query's vector; anew only where it is another network or other weights."""
        state = weights_state(network)
        if self._found is None or self._found[0] != state:
            image = self.query.image[None].as_subclass(Tensor).to(inputs.device)
            self._found = state, self.encoder.at(image, self.query.point_voxel, network)
        return self._found[1]
