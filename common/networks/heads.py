"""Heads: the last layer of every module named `head`, which has one channel per label.

Fine-tuning for other labels keeps a network's body and changes its heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

_LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class NewHeads:
    """A state dict whose heads answer other labels than before.

    Attributes:
        state: Key to tensor.
        kept: Labels whose channels came along, by name.
        new: Labels whose channels are the network's own: untrained.
    """

    state: dict[str, Tensor]
    kept: list[str]
    new: list[str]


def head_parameters(network: nn.Module) -> list[str]:
    """Keys of the tensors that have one entry per label along their first axis."""
    keys = []
    for name, module in network.named_modules():
        if name.rpartition(".")[2] == "head":
            layers = [
                (n, m) for n, m in module.named_modules(prefix=name) if isinstance(m, _LAYERS)
            ]
            for last, layer in layers[-1:]:  # none where a level has no head of its own
                keys += [f"{last}.{part}" for part, _ in layer.named_parameters()]
    return keys


def with_heads_for(
    network: nn.Module, state: Mapping[str, Tensor], *, labels: Sequence[str], before: Sequence[str]
) -> NewHeads:
    """Exchange the heads of a trained state: a label that keeps its name keeps its channel.

    Args:
        network: Built for `labels`; its heads give the channels of labels that were not there.
        state: Of the same network, trained for `before`. Everything but the heads stays as it is.
        labels: In channel order.
        before: In the order of the state's channels.
    """
    own = network.state_dict()
    kept = [label for label in labels if label in set(before)]
    places = [labels.index(label) for label in kept]
    sources = [before.index(label) for label in kept]
    heads = {}
    for key in head_parameters(network):
        trained = state.get(key)
        if trained is not None and trained.shape == (len(before), *own[key].shape[1:]):
            heads[key] = own[key].clone()
            heads[key][places] = trained[sources].to(own[key])
    new = [label for label in labels if label not in set(kept)]
    return NewHeads({**state, **heads}, kept, new)
