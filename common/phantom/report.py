"""The truth as sentences: what a radiologist would dictate."""

from __future__ import annotations

from collections.abc import Iterable

from ..vocabulary.chest_findings import CT_RATE_LABELS
from .head.build import Head
from .patient import Patient
from .scene import Finding

_PRESENT: dict[str, str] = {
    "Medical material": "Medical material is seen{side_of}.",
    "Arterial wall calcification": "Calcified plaques are present in the wall of the aorta.",
    "Cardiomegaly": "The heart is enlarged, {size} mm wide.",
    "Pericardial effusion": "A pericardial effusion up to {size} mm thick is present.",
    "Coronary artery wall calcification": "Calcifications are present in the coronary arteries.",
    "Hiatal hernia": "A hiatal hernia of {size} mm is seen behind the heart.",
    "Lymphadenopathy": "An enlarged{side} lymph node measures {size} mm in short axis.",
    "Emphysema": "Emphysema is present, most marked in the upper lobes of both lungs.",
    "Atelectasis": "Atelectasis is seen in the {lobe}.",
    "Lung nodule": "A {size} mm nodule is seen in the {lobe}.",
    "Lung opacity": "A ground-glass opacity of {size} mm is seen in the {lobe}.",
    "Pulmonary fibrotic sequela": "Fibrotic sequelae are seen at the apex of the{side} lung.",
    "Pleural effusion": "A{side} pleural effusion up to {size} mm deep is present.",
    "Mosaic attenuation pattern": "A mosaic attenuation pattern is seen in both lungs.",
    "Peribronchial thickening": "The bronchial walls are thickened in both lungs.",
    "Consolidation": "A consolidation with air bronchograms is seen in the {lobe}.",
    "Bronchiectasis": "Bronchiectasis is seen in the {lobe}.",
    "Interlobular septal thickening": "The interlobular septa are thickened in both lungs.",
}
_ABSENT: dict[str, str] = {
    "Cardiomegaly": "The heart is of normal size.",
    "Pericardial effusion": "No pericardial effusion is seen.",
    "Pleural effusion": "No pleural effusion is seen.",
    "Lymphadenopathy": "No enlarged lymph nodes are seen.",
    "Lung nodule": "No nodule is seen in either lung.",
    "Consolidation": "No consolidation is seen.",
}

_REGIONS = {
    "chest": "chest CT",
    "abdomen": "CT of the abdomen and pelvis",
    "torso": "CT of chest, abdomen and pelvis",
    "head": "head CT",
}


def sentence(finding: Finding) -> str:
    """One finding as one sentence."""
    words = {
        "side": f" {finding.side}" if finding.side else "",
        "side_of": f" on the {finding.side}" if finding.side else "",
        "lobe": finding.lobe or "lung",
        "size": f"{finding.size_mm:.0f}" if finding.size_mm is not None else "",
    }
    return _PRESENT[finding.label].format(**words)


def write_report(findings: Iterable[Finding], patient: Patient) -> str:
    """All findings, one sentence each, then what is normal."""
    written = list(findings)
    present = {finding.label for finding in written}
    lines = [sentence(finding) for finding in written]
    lines += [_ABSENT[label] for label in CT_RATE_LABELS if label in _ABSENT.keys() - present]
    if not present:
        lines.append("Both lungs are clear.")
    unique = dict.fromkeys(lines)
    return " ".join(unique)


def technique(patient: Patient | Head) -> str:
    """How the scan was made, as a sentence."""
    agent = "with" if patient.contrast else "without"
    return f"Synthetic {_REGIONS[patient.region]} {agent} intravenous contrast agent."
