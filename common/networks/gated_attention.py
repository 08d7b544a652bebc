"""Self-attention over slice tokens, followed by a gated product instead of an MLP.

Shapes: B batch, T tokens from feet to head, C channels, N heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedUnit(nn.Module):
    """`value(x) * GELU(gate(x))`, both linear without bias (Shazeer 2020, arXiv 2002.05202).

    There is no projection afterwards: the width stays `C`.

    Args:
        dim: Channels `C`.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.value_and_gate = nn.Linear(dim, 2 * dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens `(B, T, C)` to `(B, T, C)`."""
        both: Tensor = self.value_and_gate(tokens)
        value, gate = both.chunk(2, dim=-1)
        return value * F.gelu(gate)


class GatedAttention(nn.Module):
    """Pre-norm attention and gated unit, each with a residual connection.

    Args:
        dim: Channels `C`.
        num_heads: Heads; `dim` is a multiple of it.
        dropout: Of attention probabilities, in training.
    """

    def __init__(self, dim: int, *, num_heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, num_heads, dropout=dropout, batch_first=True)
        self.norm_gate = nn.LayerNorm(dim)
        self.gate = GatedUnit(dim)

    def forward(self, tokens: Tensor, forbidden: Tensor) -> Tensor:
        """Let tokens read each other.

        Args:
            tokens: `(B, T, C)`.
            forbidden: `(T, T)` or `(B * N, T, T)`, true where a query (row) may not look.

        Returns:
            Tokens `(B, T, C)`.
        """
        normed = self.norm_attention(tokens)
        attended, _ = self.attention(
            normed, normed, normed, attn_mask=forbidden, need_weights=False
        )
        tokens = tokens + attended
        gated: Tensor = self.gate(self.norm_gate(tokens))
        return tokens + gated

    @torch.no_grad()
    def attention_map(self, tokens: Tensor, forbidden: Tensor) -> Tensor:
        """How much each query looks at each key, mean over heads, `(B, T, T)`, rows sum to 1."""
        normed = self.norm_attention(tokens)
        _, weights = self.attention(normed, normed, normed, attn_mask=forbidden, need_weights=True)
        return weights  # type: ignore[no-any-return]


def forbidden_outside_window(num_tokens: int, window: int, device: torch.device) -> Tensor:
    """Mask of a one-sided window that looks down (towards the feet) and counts the token itself.

    Args:
        num_tokens: T.
        window: Tokens in the window, itself included; 0 means no limit in either direction.
        device: Where the mask is needed.

    Returns:
        Boolean `(T, T)`, true where query i may not look at key j. Transpose it to look up.
    """
    index = torch.arange(num_tokens, device=device)
    distance = index[:, None] - index[None, :]
    if window <= 0:
        return torch.zeros_like(distance, dtype=torch.bool)
    return (distance < 0) | (distance >= window)
