"""What CT-FM reports for the two retrieval protocols, to print beside one's own numbers.

From the notebooks of the authors' repository (arXiv:2501.09001); with the published weights and
the protocol `published`. Queries of 3D-MIR's four organs are pooled: 107.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InputError

SOURCE = "CT-FM, notebook outputs of the authors' repository, arXiv:2501.09001"
PROTOCOLS = ("published", "corrected")
ORGAN_MNIST: Mapping[str, float] = {
    "average_precision@3": 0.932,
    "average_precision@5": 0.926,
    "average_precision@10": 0.905,
    "hit_rate@3": 0.968,
    "hit_rate@5": 0.979,
    "hit_rate@10": 0.991,
}
MIR: Mapping[str, Mapping[str, float]] = {
    "cancer_flag": {
        "precision@3": 0.916,
        "precision@5": 0.903,
        "precision@10": 0.893,
        "average_precision@10": 0.923,
    },
    "lesion_group": {
        "precision@3": 0.595,
        "precision@5": 0.579,
        "precision@10": 0.554,
        "average_precision@10": 0.660,
    },
}
MIR_PER_ORGAN: Mapping[str, Mapping[str, float]] = {
    "cancer_flag": {"liver": 0.842, "colon": 0.806, "pancreas": 0.979, "lung": 0.979},
    "lesion_group": {"liver": 0.561, "colon": 0.486, "pancreas": 0.583, "lung": 0.708},
}
"""precision@3 of each organ's own queries."""


def checked_protocol(protocol: str) -> str:
    """The protocol itself.

    Raises:
        InputError: If there is none of that name.
    """
    if protocol not in PROTOCOLS:
        msg = f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol}; use corrected"
        raise InputError(msg)
    return protocol
