"""Score finished segmentations against truth, and leave the numbers where they can be read.

The step reads what inference wrote (or any folder of label volumes), so it needs no network and
can be repeated. It prints a table and writes `metrics.json`, `per_class.csv`, `per_case.csv` and
`dice.png`.

What must be stated with such numbers, because published ones differ in it:

| choice | here | elsewhere |
|---|---|---|
| mean | over cases per structure, then over structures | over cases of each case's mean |
| structure not in the truth | invented: 0 in `dice`; `dice_where_present` beside it | left out |
| grid | the scan's own | resampled to 1.5 mm |
| surface distance | symmetric, surface voxels pooled; missed ones counted apart | dropped |
| names | by name; v1 and v2 of TotalSegmentator never by number | |

Shapes: N cases, L structures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..atomic import write_json, write_text
from ..datasets.label_volumes import LabelNames
from ..errors import InputError
from ..figures.segmentation_scores import Bar, write_score_figure
from ..metrics.segmentation import TOLERANCE_MM, CaseScores, score_case
from ..metrics.segmentation_summary import SegmentationTable, summarise
from ..results.schema import FAILURE_NAME, RESULT_NAME
from ..truth.label_source import LabelSource, SegmentationCase
from ..truth.segmentation import grid_of, read_labels
from ..vocabulary.segmentation_classes import LabelVersion, comparable, some, version_of
from ..vocabulary.totalsegmentator import BACKGROUND
from .segmentation_folders import RESULT, FolderLabels, find_labels, shared_classes
from .segmentation_report import (
    SegmentationScores,
    macro_text,
    per_case_csv,
    per_class_csv,
    scores_json,
    scores_text,
)

Pair = tuple[LabelSource, LabelSource]
"""Prediction and truth of one case, both with the same classes."""


class SegmentationEvaluation:
    """Evaluate finished results of a segmentation bundle.

    Args:
        output_dir: Where the numbers go, and where the results lie unless `predictions` says.
        cases: Cases with `segmentation`, see `segmentation_cases`.
        labels: Names of the network's channels, background first, as the card has them.
        numbers: What stands for each label in `segmentation.nii.gz`, as the card has it; the
            channel's own if empty.
        predictions: Folder of `<case_id>/segmentation.nii.gz`.
        tolerance_mm: Of the surface Dice.
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.
        allow_missing: Score the rest when cases have no prediction; they are named either way.
        num_workers: Cases scored at the same time.

    Raises:
        InputError: If labels and cases have no structure in common.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        cases: Sequence[SegmentationCase],
        labels: Sequence[str],
        numbers: Sequence[int] = (),
        predictions: str | Path | None = None,
        tolerance_mm: float = TOLERANCE_MM,
        num_bootstrap: int = 1000,
        seed: int = 0,
        allow_missing: bool = False,
        num_workers: int = 1,
    ) -> None:
        if not cases or any("segmentation" not in case for case in cases):
            msg = (
                "cases must have a segmentation to be scored against, got "
                f"{len(cases)} cases; make the list with segmentation_cases"
            )
            raise InputError(msg)
        self.output_dir = Path(output_dir)
        self.predictions = Path(output_dir if predictions is None else predictions)
        self.cases = cases
        self.numbers = dict(zip(labels, numbers or range(len(labels)), strict=True))
        self.numbers.pop(BACKGROUND, None)
        self.version = version_of(self.numbers, source="labels")
        truth = cases[0]["segmentation"]
        self.classes = comparable(
            truth["classes"], truth["version"], list(self.numbers), self.version
        )
        if not self.classes:
            msg = (
                f"labels must share a structure with the truth, got {some(self.numbers)} against "
                f"{some(truth['classes'])}; choose `classes` that the network has"
            )
            raise InputError(msg)
        self.tolerance_mm = tolerance_mm
        self.num_bootstrap = num_bootstrap
        self.seed = seed
        self.allow_missing = allow_missing
        self.num_workers = num_workers

    def run(self) -> SegmentationScores:
        """Score, print, and write the files.

        Raises:
            InputError: If truth or predictions are missing, cannot be read or do not fit.
        """
        scores = self.evaluate()
        write_scores(self.output_dir, scores)
        return scores

    def evaluate(self) -> SegmentationScores:
        """Score; writes nothing. Raises as `run` does."""
        files = {
            case["case_id"]: self.predictions / case["case_id"] / RESULT for case in self.cases
        }
        missing = {name: _why_missing(path) for name, path in files.items() if not path.is_file()}
        notes = self._left_out(missing)
        pairs: dict[str, Pair] = {}
        patients: dict[str, str] = {}
        for case in self.cases:
            name = case["case_id"]
            if name in missing:
                continue
            prediction = LabelSource(
                kind="volume",
                path=str(files[name]),
                classes=self.classes,
                version=self.version,
                numbers=self.numbers,
            )
            pairs[name] = prediction, _with_classes(case["segmentation"], self.classes)
            patients[name] = case.get("patient_id") or name
        weights, synthetic = _weights_of([files[name].parent / RESULT_NAME for name in pairs])
        table = score_pairs(pairs, patients, self.tolerance_mm, self.num_workers)
        summary = summarise(table, num_resamples=self.num_bootstrap, seed=self.seed)
        return SegmentationScores(table, summary, self.tolerance_mm, weights, synthetic, notes)

    def _left_out(self, missing: Mapping[str, str]) -> list[str]:
        """Notes on what is not scored; an error where that was not allowed."""
        listed = some([f"{name} ({reason})" for name, reason in missing.items()])
        if missing and (not self.allow_missing or len(missing) == len(self.cases)):
            msg = (
                f"every case must have a prediction ({RESULT}), got none for {len(missing)} of "
                f"{len(self.cases)}: {listed}; run inference on them, or leave them out knowingly "
                "with `allow_missing`"
            )
            raise InputError(msg)
        notes = []
        if missing:
            notes.append(f"cases without prediction, left out ({len(missing)}): {listed}")
        truth = self.cases[0]["segmentation"]["classes"]
        unscored = [name for name in truth if name not in set(self.classes)]
        if unscored:
            notes.append(f"structures of the truth alone, not scored: {some(unscored)}")
        other = [name for name in self.numbers if name not in set(self.classes)]
        if other:
            notes.append(f"structures of the network alone, not scored: {some(other)}")
        return notes


def score_folders(
    predictions: str | Path,
    truth: str | Path,
    *,
    label_version: LabelVersion = "",
    label_names: LabelNames = (),
    truth_version: LabelVersion = "",
    classes: Sequence[str] = (),
    tolerance_mm: float = TOLERANCE_MM,
    num_bootstrap: int = 1000,
    seed: int = 0,
    num_workers: int = 1,
) -> SegmentationScores:
    """Score any folder of segmentations against a folder of truth; see `segmentation_folders`.

    Args:
        predictions: What is scored.
        truth: What it is scored against.
        label_version: Which TotalSegmentator numbered both.
        label_names: What the numbers of both mean, for any other data.
        truth_version: Of the truth, where it is another one; structures are matched by name.
        classes: Only these structures.
        tolerance_mm: Of the surface Dice.
        num_bootstrap: Resamples of cases for the intervals; 0 for none.
        seed: Of the bootstrap.
        num_workers: Cases scored at the same time.

    Raises:
        InputError: If the folders share no case or no structure, or a pair lies on two grids.
    """
    scored = find_labels(predictions, label_version=label_version, label_names=label_names)
    known = find_labels(
        truth,
        label_version=truth_version or label_version,
        label_names=() if truth_version else label_names,
    )
    names = shared_classes(scored, known, classes)
    cases = sorted(scored.sources.keys() & known.sources.keys())
    if not cases:
        msg = (
            f"predictions and truth must share names of cases, got {some(scored.sources)} and "
            f"{some(known.sources)}; rename one of them"
        )
        raise InputError(msg)
    pairs = {
        name: (
            _with_classes(scored.sources[name], names),
            _with_classes(known.sources[name], names),
        )
        for name in cases
    }
    weights, synthetic = _weights_of(
        [Path(scored.sources[name]["path"]).parent / RESULT_NAME for name in cases]
    )
    table = score_pairs(pairs, {name: name for name in cases}, tolerance_mm, num_workers)
    summary = summarise(table, num_resamples=num_bootstrap, seed=seed)
    notes = _unmatched(scored, known)
    notes.append(f"each case is taken as a patient of its own: {len(cases)}")
    return SegmentationScores(table, summary, tolerance_mm, weights, synthetic, notes)


def score_pairs(
    pairs: Mapping[str, Pair],
    patients: Mapping[str, str],
    tolerance_mm: float = TOLERANCE_MM,
    num_workers: int = 1,
) -> SegmentationTable:
    """Read and score every case, one volume of each kind in memory per worker.

    Args:
        pairs: Prediction and truth by case.
        patients: Whose each case is.
        tolerance_mm: Of the surface Dice.
        num_workers: Cases at the same time.

    Raises:
        InputError: If a file cannot be read or a pair does not lie on one grid, naming it.
    """
    with ThreadPoolExecutor(max(num_workers, 1)) as pool:
        work = pool.map(lambda pair: _score_pair(pair, tolerance_mm), pairs.values())
        done = list(tqdm(work, total=len(pairs), unit="case", disable=len(pairs) < 2))
    first = next(iter(pairs.values()))[1]
    columns = {
        name: np.array([getattr(scores, name) for scores in done])
        for name in CaseScores.__dataclass_fields__
    }
    return SegmentationTable(
        case_ids=list(pairs),
        classes=list(first["classes"]),
        patient_ids=[patients[name] for name in pairs],
        **columns,
    )


def write_scores(output_dir: str | Path, scores: SegmentationScores) -> None:
    """Print the table; write `metrics.json`, `per_class.csv`, `per_case.csv` and `dice.png`.

    Raises:
        InputError: If the folder cannot be written.
    """
    folder = Path(output_dir)
    print(scores_text(scores), end="")
    write_json(folder / "metrics.json", scores_json(scores))
    write_text(folder / "per_class.csv", per_class_csv(scores))
    write_text(folder / "per_case.csv", per_case_csv(scores.table))
    _draw(folder / "dice.png", scores)


def _score_pair(pair: Pair, tolerance_mm: float) -> CaseScores:
    """Read and score one case."""
    prediction = read_labels(pair[0])
    truth = read_labels(pair[1], grid=grid_of(prediction))
    return score_case(
        prediction.voxels,
        truth.voxels,
        num_classes=len(pair[0]["classes"]),
        spacing_mm=prediction.spacing_mm,
        tolerance_mm=tolerance_mm,
    )


def _draw(path: Path, scores: SegmentationScores) -> None:
    """`dice.png`; nothing where no structure was counted."""
    table, summary = scores.table, scores.summary
    lost = (table.missed | table.invented).sum(axis=0)
    groups: dict[str, list[Bar]] = {name: [] for name in summary.regions}
    for index, one in enumerate(summary.classes["dice"]):
        if one.num:
            bar = Bar(table.classes[index], one.value, one.interval, one.num, int(lost[index]))
            groups[summary.region_of[index]].append(bar)
    if not any(groups.values()):
        return
    means = {name: f"mean {one['dice'].value:.3f}" for name, one in summary.regions.items()}
    cases = f"{len(table.case_ids)} case{'s' if len(table.case_ids) > 1 else ''}"
    subtitle = f"{cases}   ·   {macro_text(scores)}"
    if lost.any():
        subtitle += "   ·   orange: cases in which it was missed or invented"
    write_score_figure(path, groups, headings=means, subtitle=subtitle, synthetic=scores.synthetic)


def _with_classes(source: LabelSource, classes: list[str]) -> LabelSource:
    return {**source, "classes": classes}


def _unmatched(scored: FolderLabels, known: FolderLabels) -> list[str]:
    """Sentences on what stands in one of the folders alone."""
    notes = []
    for what, alone in (
        ("predictions without truth", scored.sources.keys() - known.sources.keys()),
        ("truth without prediction", known.sources.keys() - scored.sources.keys()),
    ):
        if alone:
            notes.append(f"{what}, not scored ({len(alone)}): {some(set(alone), 20)}")
    return notes


def _why_missing(path: Path) -> str:
    """Why a case has no result."""
    try:
        return str(json.loads((path.parent / FAILURE_NAME).read_text("utf-8"))["reason"])
    except FileNotFoundError:
        return "no result"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{FAILURE_NAME} cannot be read"


def _weights_of(results: Sequence[Path]) -> tuple[list[str], bool]:
    """Names of the weights behind results, and whether any saw phantoms only.

    Raises:
        InputError: If results of one run were made by several weights.
    """
    found = {}
    for path in results:
        if path.is_file():
            try:
                weights = json.loads(path.read_text("utf-8"))["weights"]
                found[weights["sha256"]] = str(weights["name"]), bool(weights["synthetic"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                msg = f"{path} must be a whole result, got {error!r}; run this case again"
                raise InputError(msg) from error
    if len(found) > 1:
        msg = (
            f"results of one evaluation must share their weights, got "
            f"{some([name for name, _ in found.values()])}; keep each run in its own `output_dir`"
        )
        raise InputError(msg)
    return [name for name, _ in found.values()], any(synthetic for _, synthetic in found.values())
