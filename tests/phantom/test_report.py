"""Sentences from the truth."""

from common.phantom import CT_RATE_LABELS, Finding
from common.phantom.report import sentence, write_report


def test_nodule_sentence_gives_size_and_lobe():
    nodule = Finding("Lung nodule", "right", "right upper lobe", 9.2, 0.4, (0, 0, 0))
    assert sentence(nodule) == "A 9 mm nodule is seen in the right upper lobe."


def test_effusion_sentence_gives_side_and_depth():
    fluid = Finding("Pleural effusion", "left", "left lower lobe", 22.0, 300.0, (0, 0, 0))
    assert sentence(fluid) == "A left pleural effusion up to 22 mm deep is present."


def test_every_label_has_a_sentence_without_gaps():
    for label in CT_RATE_LABELS:
        text = sentence(Finding(label, "left", "left lower lobe", 12.0, 1.0, (0, 0, 0)))
        assert "{" not in text
        assert "  " not in text
        assert text.endswith(".")


def test_healthy_patient_gets_only_normal_sentences(chest):
    report = chest(5).report
    assert "The heart is of normal size." in report
    assert report.endswith("Both lungs are clear.")


def test_sentence_of_absence_goes_where_the_finding_is_present(chest):
    sick = chest(6, "Lung nodule")
    assert "No nodule" not in sick.report
    assert write_report(sick.findings, sick.patient) == sick.report
