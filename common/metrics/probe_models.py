"""The two probes: what a frozen embedding tells about a class, predicted patient by patient.

Every prediction comes from other patients' cases alone.

Shapes: N cases, F numbers per embedding, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..embeddings.neighbours import nearest, same_owners
from ..errors import InputError

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths C of the linear probe that are tried."""
_INNER_FOLDS = 3
_ENOUGH = 1e-3  # tolerance of the fit; finer changes no AUROC digit that is reported

Floats = NDArray[np.float64]


def linear_probabilities(
    embeddings: NDArray[np.floating],
    classes: NDArray[np.int64],
    owners: Sequence[Hashable],
    *,
    num_folds: int = 5,
    strengths: Sequence[float] = STRENGTHS,
    balanced: bool = True,
    seed: int = 0,
) -> Floats:
    """Logistic regression on scaled embeddings, cross-validated by patient.

    Folds keep a patient together and, as far as that allows, hold every class alike (scikit-learn's
    `StratifiedGroupKFold`). Mean and deviation for scaling come from the training part of a fold,
    and so does C: inside it, by the log loss of another cross-validation by patient; of equal ones
    the strongest regularisation.

    Args:
        embeddings: `(N, F)`.
        classes: 0 to C - 1, each there, `(N,)`.
        owners: Whose each case is, N.
        num_folds: At most; fewer where a class has fewer patients.
        strengths: C to choose from; one is taken as it is.
        balanced: Weigh cases so that every class counts alike.
        seed: Of the folds.

    Returns:
        Probabilities of cases when they were in no training part, `(N, C)`.

    Raises:
        InputError: If a class has but one patient or an argument is out of range.
    """
    if num_folds < 2 or not strengths or min(strengths) <= 0:
        msg = (
            f"num_folds must be 2 or more and strengths above 0, got {num_folds} and "
            f"{list(strengths)}; 5 folds are usual"
        )
        raise InputError(msg)
    (owner,) = same_owners(owners)
    num_classes = int(classes.max()) + 1
    if _most_folds(classes, owner) < 2:
        msg = "every class must have cases of 2 or more patients, got one of fewer; leave it out"
        raise InputError(msg)
    answer = np.full((len(classes), num_classes), np.nan)
    for train, test in _folds(classes, owner, num_folds, seed):
        fit = (embeddings[train], classes[train], num_classes)
        strength = _choose(*fit, owner[train], sorted(strengths), balanced=balanced, seed=seed)
        (answer[test],) = _predictions(*fit, embeddings[test], [strength], balanced=balanced)
    return answer


def neighbour_probabilities(
    embeddings: NDArray[np.floating],
    classes: NDArray[np.int64],
    owners: Sequence[Hashable],
    *,
    num_neighbours: int = 20,
    temperature: float = 0.07,
    balanced: bool = True,
) -> Floats:
    """Votes of the nearest cases of other patients, weighted by `exp(cosine / temperature)`.

    As Wu et al. 2018 (arXiv:1805.01978) and DINO do; every case is left out with its patient.

    Args:
        embeddings: `(N, F)`.
        classes: 0 to C - 1, each there, `(N,)`.
        owners: Whose each case is, N.
        num_neighbours: That vote, or all of other patients where these are fewer.
        temperature: Small: the very nearest decide.
        balanced: Divide a class's votes by its share of the cases.

    Returns:
        Probabilities, `(N, C)`.

    Raises:
        InputError: If there is but one patient or an argument is out of range.
    """
    if num_neighbours < 1 or temperature <= 0:
        msg = (
            f"num_neighbours must be 1 or more and temperature above 0, got {num_neighbours} and "
            f"{temperature}; 20 and 0.07 are usual"
        )
        raise InputError(msg)
    (owner,) = same_owners(owners)
    if len(set(owner.tolist())) < 2:
        msg = "cases must be of 2 or more patients, got one; nobody is left to vote"
        raise InputError(msg)
    found = nearest(
        embeddings, embeddings, top=num_neighbours, query_owners=owner, gallery_owners=owner
    )
    relative = found.distances - found.distances[:, :1]  # the nearest votes with weight 1
    votes = np.exp(-relative / temperature)
    one_hot = np.eye(int(classes.max()) + 1)[classes]
    share = one_hot.mean(axis=0) if balanced else np.ones(one_hot.shape[1])
    by_class = np.einsum("nk,nkc->nc", votes, one_hot[found.rows]) / share
    return np.asarray(by_class / by_class.sum(axis=1, keepdims=True))


def _most_folds(classes: NDArray[np.int64], owner: NDArray[np.int64]) -> int:
    """So many folds that every class can have a patient in each."""
    return min(len(np.unique(owner[classes == each])) for each in np.unique(classes))


def _folds(
    classes: NDArray[np.int64], owner: NDArray[np.int64], num_folds: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to train with and rows to predict."""
    from sklearn.model_selection import StratifiedGroupKFold

    num = min(num_folds, _most_folds(classes, owner))
    splitter = StratifiedGroupKFold(num, shuffle=True, random_state=seed)
    for train, test in splitter.split(np.empty(len(classes)), classes, owner):
        if len(test):
            yield train, test


def _choose(
    embeddings: NDArray[np.floating],
    classes: NDArray[np.int64],
    num_classes: int,
    owner: NDArray[np.int64],
    strengths: Sequence[float],
    *,
    balanced: bool,
    seed: int,
) -> float:
    """The strength of least log loss over inner folds; the strongest where none can be chosen."""
    if len(strengths) == 1 or _most_folds(classes, owner) < 2:
        return strengths[0]
    counts = np.bincount(classes, minlength=num_classes)
    weight = (1 / counts[classes]) if balanced else np.ones(len(classes))
    losses = np.zeros(len(strengths))
    for train, test in _folds(classes, owner, _INNER_FOLDS, seed):
        predicted = _predictions(
            embeddings[train], classes[train], num_classes, embeddings[test], strengths,
            balanced=balanced,
        )  # fmt: skip
        of_truth = predicted[:, np.arange(len(test)), classes[test]]
        losses -= np.log(np.maximum(of_truth, 1e-12)) @ weight[test]
    return strengths[int(losses.argmin())]


def _predictions(
    embeddings: NDArray[np.floating],
    classes: NDArray[np.int64],
    num_classes: int,
    others: NDArray[np.floating],
    strengths: Sequence[float],
    *,
    balanced: bool,
) -> Floats:
    """Probabilities of other cases `(M, F)` for each strength, rising: `(S, M, C)`.

    A class that was not trained with gets 0. Each fit starts from the last one's answer.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    answer = np.zeros((len(strengths), len(others), num_classes))
    present = np.unique(classes)
    if len(present) == 1:
        answer[..., present[0]] = 1
        return answer
    scaler = StandardScaler().fit(embeddings.astype(np.float64))
    seen, unseen = (scaler.transform(each.astype(np.float64)) for each in (embeddings, others))
    model = LogisticRegression(
        class_weight="balanced" if balanced else None, tol=_ENOUGH, max_iter=1000, warm_start=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weak regularisation, chosen or not
        for place, strength in enumerate(strengths):
            model.set_params(C=strength).fit(seen, classes)
            answer[place][:, present] = model.predict_proba(unseen)
    return answer
