"""Heads that self-supervised pre-training puts behind an encoder; only the encoder is kept.

Shapes: B scans, C crops of a scan, 2 views of a crop, S P L the axes of a crop, F features of the
encoder's last level, D numbers that embed a view.
"""

from __future__ import annotations

from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """Linear, ReLU, linear, both with bias: what CT-FM's loss sees of an embedding.

    Published keys fit: `layers.0` and `layers.2`.

    Args:
        in_features: F, for CT-FM 512.
        hidden_features: Between the two.
        out_features: D.
    """

    def __init__(
        self, *, in_features: int = 512, hidden_features: int = 256, out_features: int = 128
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, hidden_features),
            nn.ReLU(),
            nn.Linear(hidden_features, out_features),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(n, F)` to `(n, D)`."""
        projected: Tensor = self.layers(features)
        return projected


class PredictionHead(nn.Module):
    """Linear, batch norm, ReLU, linear: a bottleneck for SimSiam (Chen & He 2021, section 4.4).

    Args:
        features: D, in and out.
        hidden_features: Of the bottleneck, in the paper a quarter of D.
    """

    def __init__(self, *, features: int = 128, hidden_features: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, hidden_features, bias=False),
            nn.BatchNorm1d(hidden_features),
            nn.ReLU(),
            nn.Linear(hidden_features, features),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `(n, D)` to predictions of the other view's `(n, D)`."""
        predicted: Tensor = self.layers(embeddings)
        return predicted


class ProjectedEncoder(nn.Module):
    """An encoder, the mean over the places of its last map, and a projection head.

    Args:
        network: Crops to a map `(n, F, ...)`, such as `CTFMEncoder`. It is the part to keep.
        projection_head: From F features to D numbers.
        prediction_head: From D numbers to D, for SimSiam.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        projection_head: nn.Module,
        prediction_head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.projection_head = projection_head
        self.prediction_head = prediction_head
        self.to(next(network.parameters()).device)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Embed crops or views, all of them in one pass.

        Args:
            image: `(..., 1, S, P, L)` in the network's input range; in front any axes, such as
                those of a batch of views `(B, C, 2, 1, S, P, L)`.

        Returns:
            `(..., D)`, such as `(B, C, 2, D)`; with a prediction head also the predictions, of
            the same shape.
        """
        leading = image.shape[:-4]
        embeddings = self.projection_head(self.features(image.flatten(0, -5)))
        if self.prediction_head is None:
            return embeddings.unflatten(0, leading)  # type: ignore[no-any-return]
        predictions = self.prediction_head(embeddings)
        return embeddings.unflatten(0, leading), predictions.unflatten(0, leading)

    def features(self, image: Tensor) -> Tensor:
        """What is used after pre-training: of crops `(n, 1, S, P, L)` the features `(n, F)`."""
        pooled: Tensor = self.network(image).mean(dim=(2, 3, 4))
        return pooled
