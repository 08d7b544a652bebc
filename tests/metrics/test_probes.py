"""Linear and k-NN probes on embeddings made by formula."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from common.embeddings.case_labels import LabelledEmbeddings
from common.embeddings.table import EmbeddingTable
from common.errors import InputError
from common.metrics.probe_models import linear_probabilities, neighbour_probabilities
from common.metrics.probes import difference, read_task
from common.metrics.probes import probe as probe_with

NUM, LENGTH = 90, 12


def probe(cases, **options):
    """With two strengths to choose from: the tests are to be quick."""
    return probe_with(cases, **{"strengths": (0.01, 1), "num_folds": 3, **options})


def waves(num=NUM, length=LENGTH):
    """Embeddings that know of no label."""
    return np.sin(np.outer(np.arange(1, num + 1) ** 1.7, np.arange(1, length + 1)))


def labelled(values, columns=("label",), embeddings=None, patients=None):
    embeddings = waves(len(values)) if embeddings is None else embeddings
    patients = patients or [f"p{row // 2}" for row in range(len(values))]
    table = EmbeddingTable([f"c{row}" for row in range(len(values))], patients, embeddings)
    return LabelledEmbeddings(table, list(columns), values, [])


def told(classes, strength=3.0):
    """Embeddings of which number k is raised where the class is k."""
    embeddings = waves(len(classes))
    embeddings[np.arange(len(classes)), classes] += strength
    return embeddings


@pytest.fixture
def binary():
    classes = np.arange(NUM) // 2 % 3 % 2  # a third of the patients
    return labelled([[str(each)] for each in classes], embeddings=told(classes, 1.2))


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_a_label_that_embeddings_hold_is_found(binary, kind):
    found = probe(binary, kind=kind, num_bootstrap=100)
    truth, score = found.truth[:, 0], found.probabilities[:, 0]
    assert found.task == "binary"
    assert found.labels == ["label"]
    assert found.values["auroc"] == pytest.approx(roc_auc_score(truth, score))
    assert found.values["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(truth, score >= 0.5)
    )
    assert found.values["auroc"] > 0.8
    low, high = found.intervals["auroc"]
    assert low < found.values["auroc"] < high
    assert found.num_patients == 45


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_a_label_that_embeddings_do_not_hold_is_not(kind):
    values = [[str(int(np.cos(1 + row // 2 * 2.3) > 0))] for row in range(NUM)]
    low, high = probe(labelled(values), kind=kind, num_bootstrap=200).intervals["auroc"]
    assert low < 0.5 + 0.1
    assert high < 0.75


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_no_case_is_predicted_from_its_own_patient(kind):
    """Embeddings that know the patient alone, whose label is as good as drawn."""
    patients = np.arange(NUM) // 3
    embeddings = np.repeat(waves(NUM // 3, 30), 3, axis=0) + 1e-3 * waves(NUM, 30)
    values = [[str(int(np.sin(3.7 * patient**2) > 0))] for patient in patients]
    of_patients = labelled(values, embeddings=embeddings, patients=[f"p{p}" for p in patients])
    by_case = labelled(values, embeddings=embeddings, patients=[f"c{row}" for row in range(NUM)])
    leaky = probe(by_case, kind=kind, num_bootstrap=0, num_neighbours=2).values["auroc"]
    honest = probe(of_patients, kind=kind, num_bootstrap=0, num_neighbours=2).values["auroc"]
    assert leaky > 0.85
    assert honest < 0.7


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_several_classes_are_scored_one_against_the_rest(kind):
    classes = np.arange(NUM) // 2 % 4
    values = [[["liver", "spleen", "heart", "lung"][each]] for each in classes]
    found = probe(labelled(values, embeddings=told(classes)), kind=kind, num_bootstrap=50)
    assert found.task == "multi_class"
    assert found.labels == ["heart", "liver", "lung", "spleen"]
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    truth, best = found.truth.argmax(axis=1), found.probabilities.argmax(axis=1)
    assert found.values["auroc"] == pytest.approx(
        roc_auc_score(truth, found.probabilities, multi_class="ovr")
    )
    assert found.values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, best))
    assert found.values["auroc"] > 0.95


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_several_labels_may_be_unknown_or_too_rare(kind):
    first = np.arange(NUM) // 2 % 2
    values = [[str(each), "" if row % 5 else str(each), "0"] for row, each in enumerate(first)]
    values[0][2] = values[1][2] = "1"  # one patient
    found = probe(
        labelled(values, ["all", "some", "rare"], embeddings=told(first)), kind=kind,
        num_bootstrap=50,
    )  # fmt: skip
    assert found.task == "multi_label"
    assert np.isnan(found.per_label["auroc"]).tolist() == [False, False, True]
    assert found.notes == ["rare: positive in 1 patients; not probed"]
    assert (~np.isnan(found.probabilities)).sum(axis=0).tolist() == [NUM, NUM // 5, 0]
    assert found.values["auroc"] == pytest.approx(np.mean(found.per_label["auroc"][:2]))
    assert found.as_json()["labels"]["rare"]["auroc"] == {"value": None, "interval": None}


def test_two_words_are_a_binary_task_of_the_second():
    values = [["yes" if row % 2 else "no"] for row in range(8)] + [[""]]
    task, labels, truth = read_task(labelled(values))
    assert (task, labels) == ("binary", ["label yes"])
    assert truth[:3, 0].tolist() == [0, 1, 0]
    assert np.isnan(truth[-1, 0])


def test_numbers_are_classes_in_their_order():
    task, labels, _ = read_task(labelled([["10"], ["2.0"], ["2"], ["-1"]]))
    assert (task, labels) == ("multi_class", ["-1", "2", "10"])


def test_cases_without_a_label_are_left_out_and_counted(binary):
    values = [["" if row < 4 else text] for row, (text,) in enumerate(binary.values)]
    found = probe(labelled(values, embeddings=binary.table.embeddings), num_bootstrap=0)
    assert len(found.truth) == NUM - 4
    assert found.notes == ["cases without any label, left out: 4"]


def test_the_same_seed_gives_the_same_scores(binary):
    first, second = (probe(binary, num_bootstrap=50, seed=3).as_json() for _ in range(2))
    assert first == second


def test_a_better_encoder_is_better_with_its_interval(binary):
    better = probe(binary, num_bootstrap=200)
    worse = probe(labelled(binary.values, embeddings=waves()), num_bootstrap=200)
    value, low, high = difference(better, worse)["auroc"]
    assert 0 < low < value < high
    with pytest.raises(InputError, match="must be of the same cases and labels"):
        difference(better, probe(binary, num_bootstrap=0))


def test_neighbours_vote_by_their_cosine():
    embeddings = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1.0]])
    classes, owners = np.array([0, 0, 1, 1]), list("abcd")
    found = neighbour_probabilities(
        embeddings, classes, owners, num_neighbours=2, temperature=0.5, balanced=False
    )
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    votes = np.exp(unit[0] @ unit[1:3].T / 0.5)
    np.testing.assert_allclose(found[0], votes / votes.sum())


def test_a_class_that_one_patient_has_cannot_be_validated():
    with pytest.raises(InputError, match="every class must have cases of 2 or more patients"):
        linear_probabilities(waves(6), np.array([0, 0, 0, 0, 1, 1]), list("abcdee"))


@pytest.mark.parametrize(
    ("values", "columns", "options", "message"),
    [
        ([["1"], ["1"]], ["x"], {}, r"column x must hold two or more values, got \['1'\]"),
        ([["1", "0"], ["2", "1"]], ["x", "y"], {}, "column x must hold 0, 1 or nothing .* got '2'"),
        ([["1"], ["0"]], ["x"], {}, "labels must have two classes of 2 or more patients"),
        ([["1"], ["0"]], ["x"], {"kind": "tree"}, "kind must be one of linear, knn, got 'tree'"),
        ([["1"], ["0"]] * 4, ["x"], {"num_folds": 1}, "num_folds must be 2 or more"),
        ([["1"], ["0"]] * 4, ["x"], {"kind": "knn", "temperature": 0}, "temperature above 0"),
    ],
)
def test_what_cannot_be_probed_is_refused(values, columns, options, message):
    patients = [f"p{row}" for row in range(len(values))]
    with pytest.raises(InputError, match=message):
        probe(labelled(values, columns, patients=patients), **options)
