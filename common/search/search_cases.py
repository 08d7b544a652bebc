"""What a search embeds before it can begin: the queries, and on phantoms the gallery too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..case import Case, CaseList
from ..cases.find import find_cases
from ..datasets.labelled_phantoms import SEARCHED_REGIONS, labelled_phantoms
from ..phantom.cases import retest_cases

PHANTOM = "phantom"


def query_cases(*, input: str | list[str], series: str | int, queries: str) -> CaseList:  # noqa: A002
    """The scans to search for; none where they are embedded already.

    Args:
        input: As of `find_cases`; `phantom` is a synthetic patient of every region.
        series: As of `find_cases`.
        queries: A table of embeddings; empty where scans are to be embedded.

    Raises:
        InputError: As `find_cases`.
    """
    num = len(SEARCHED_REGIONS)
    phantoms = partial(labelled_phantoms, "regions", num=num, split="example")
    return _to_embed(queries, input, phantoms, series)


def gallery_cases(gallery: str, *, num: int) -> list[Case]:
    """Synthetic patients of all regions for the gallery `phantom`; none for a table's.

    Args:
        gallery: `phantom`, or where embeddings lie.
        num: How many patients.

    Raises:
        InputError: If `num` is out of range.
    """
    return labelled_phantoms("regions", num=num) if gallery == PHANTOM else []


def joined(queries: CaseList, gallery: list[Case]) -> CaseList:
    """Both lists as one, with what was left out of the first."""
    return CaseList([*queries, *gallery], queries.rejected)


def probe_cases(*, embeddings: str, dataset_dir: str, task: str, num: int) -> CaseList:
    """The scans to probe; none where they are embedded already.

    Args:
        embeddings: A table of embeddings; empty where scans are to be embedded.
        dataset_dir: `phantom`, or scans as `find_cases` takes them.
        task: Of the phantoms, see `labelled_phantoms`.
        num: How many phantoms.

    Raises:
        InputError: As `find_cases`, or if task or number are out of range.
    """
    return _to_embed(embeddings, dataset_dir, partial(labelled_phantoms, task, num=num))


def stability_cases(*, embeddings: str, dataset_dir: str, region: str, num: int) -> CaseList:
    """Patients who are scanned twice; none where they are embedded already.

    Args:
        embeddings: A table of embeddings; empty where scans are to be embedded.
        dataset_dir: `phantom`, or scans as `find_cases` takes them.
        region: Of the phantoms: `chest`, `abdomen` or `torso`.
        num: How many phantoms.

    Raises:
        InputError: As `find_cases`, or if region or number are out of range.
    """
    phantoms = partial(retest_cases, "test", num=num, region=region)
    return _to_embed(embeddings, dataset_dir, phantoms)


def _to_embed(
    embedded: str,
    scans: str | list[str],
    phantoms: Callable[[], Sequence[Case]],
    series: str | int = "ask",
) -> CaseList:
    """None where they are embedded already, phantoms if so named, or what the user points at."""
    if embedded:
        return CaseList()
    if scans == PHANTOM:
        return CaseList(phantoms())
    return find_cases(scans, series=series)
