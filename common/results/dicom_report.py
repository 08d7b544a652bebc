"""`report_sr.dcm`: a classifier's result as a DICOM structured report beside the images it read.

A Comprehensive SR with template TID 1500: per finding its probability, the threshold, the
decision, the algorithm that made it, and the slice that spoke for it most. Findings carry their
SNOMED CT code where DICOM's own context groups have one of exactly that meaning; the rest and the
name of the decision stand in the private scheme 99CTBUNDLES, so nothing claims a code that it
does not have.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..atomic import replacing
from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..weights.card import WeightsRecord
from .case_result import NOTE, SYNTHETIC_NOTE
from .dicom_evidence import read_evidence
from .schema import BundleRecord

if TYPE_CHECKING:
    from pydicom import Dataset

REPORT_NAME = "report_sr.dcm"
PRIVATE_SCHEME = "99CTBUNDLES"
_SNOMED = {
    "Pericardial effusion": "373945007",
    "Lymphadenopathy": "30746006",
    "Pleural effusion": "60046008",
}


def write_dicom_report(
    path: str | Path,
    *,
    source_files: Sequence[str | Path],
    outputs: Mapping[str, Any],
    bundle: BundleRecord,
    weights: WeightsRecord,
) -> list[str]:
    """Write the report of one DICOM series.

    Args:
        path: Where to write, `report_sr.dcm` by habit.
        source_files: The series' files; headers only are read.
        outputs: From `classification_outputs`; where it holds `relevance`, each finding refers
            to the slice in the middle of its most relevant triplet.
        bundle: Name and version, given as the algorithm.
        weights: Name and hash; synthetic ones are named so in the report.

    Returns:
        Warnings about identifiers that the series lacks and the report had to make up, as
        sentences.

    Raises:
        InputError: If the files cannot be referred to, or the place cannot be written.
    """
    evidence, notes = read_evidence(source_files)
    with replacing(path) as partial, warnings.catch_warnings():
        # Patients' names are repeated as they stand, with one component or five.
        warnings.filterwarnings("ignore", message="The string .* person name")
        _report(evidence, outputs, bundle, weights).save_as(partial)
    return notes


def finding_code(label: str) -> tuple[str, str, str]:
    """Code value, scheme and meaning of a label; private where no standard code fits exactly."""
    if label in _SNOMED:
        return _SNOMED[label], "SCT", label
    if label in CT_RATE_LABELS:
        return f"CTRATE-{CT_RATE_LABELS.index(label):02d}", PRIVATE_SCHEME, label
    digest = hashlib.sha256(label.encode()).hexdigest()[:10].upper()
    return f"L-{digest}", PRIVATE_SCHEME, label[:64]


def _report(
    evidence: Sequence[Dataset],
    outputs: Mapping[str, Any],
    bundle: BundleRecord,
    weights: WeightsRecord,
) -> Any:
    """The whole SR object."""
    import highdicom
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.uid import generate_uid

    origin = "SYNTHETIC demo" if weights["synthetic"] else "Research"
    scheme = CodingSchemeIdentificationItem(
        PRIVATE_SCHEME, name="ct-bundles", responsible_organization="ct-bundles"
    )
    return highdicom.sr.ComprehensiveSR(
        evidence=evidence,
        content=_content(evidence, outputs, bundle, weights)[0],
        series_instance_uid=generate_uid(),
        series_number=9000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="ct-bundles",
        manufacturer_model_name=bundle["name"],
        software_versions=bundle["version"],
        series_description=f"{origin}, {bundle['name']} findings"[:64],
        content_qualification="RESEARCH",
        is_complete=True,
        is_verified=False,
        specific_character_set="ISO_IR 192",
        coding_schemes=[scheme],
    )


def _content(
    evidence: Sequence[Dataset],
    outputs: Mapping[str, Any],
    bundle: BundleRecord,
    weights: WeightsRecord,
) -> Any:
    """The report's content tree."""
    import highdicom.sr as sr
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    algorithm = sr.AlgorithmIdentification(
        name=bundle["name"],
        version=bundle["version"],
        parameters=[
            f"weights={weights['name']}",
            f"weights_sha256={weights['sha256']}",
            f"synthetic_weights={str(weights['synthetic']).lower()}",
            "clinical_use=false",
        ],
    )
    groups = []
    for label, finding in outputs["findings"].items():
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(generate_uid(), label),
                finding_type=sr.CodedConcept(*finding_code(label)),
                algorithm_id=algorithm,
                measurements=[
                    sr.Measurement(
                        codes.DCM.Probability, finding["probability"], codes.UCUM.NoUnits
                    ),
                    sr.Measurement(
                        codes.DCM.ThresholdValue, finding["threshold"], codes.UCUM.NoUnits
                    ),
                ],
                qualitative_evaluations=[
                    sr.QualitativeEvaluation(
                        sr.CodedConcept("DECISION", PRIVATE_SCHEME, "Decision at threshold"),
                        codes.SCT.Positive if finding["positive"] else codes.SCT.Negative,
                    )
                ],
                source_images=_key_images(evidence, outputs, label),
            )
        )
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[bundle["name"], bundle["version"], weights["sha256"]]),
        name=f"ct-bundles {bundle['name']}",
        manufacturer_name="ct-bundles",
        model_name=f"{bundle['name']} {bundle['version']}",
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(codes.DCM.Device, device)
        ),
        procedure_reported=codes.SCT.ComputedTomography,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    content[0].ContentSequence.append(
        sr.TextContentItem(
            name=codes.DCM.Comment,
            value=SYNTHETIC_NOTE if weights["synthetic"] else NOTE,
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        )
    )
    return content


def _key_images(
    evidence: Sequence[Dataset], outputs: Mapping[str, Any], label: str
) -> list[Any] | None:
    """The slice nearest to the middle of the finding's most relevant triplet."""
    import highdicom.sr as sr

    tops = outputs.get("relevance", {}).get(label, {}).get("top_triplets", [])
    inside = [top for top in tops if top["slices_voxel"] is not None]
    positions = [image.get("ImagePositionPatient") for image in evidence]
    if not inside or any(position is None for position in positions):
        return None
    x, y, z = inside[0]["centre_world_mm"]
    orientation = evidence[0].get("ImageOrientationPatient") or [1, 0, 0, 0, 1, 0]
    normal = np.cross(np.array(orientation[:3], float), np.array(orientation[3:], float))
    from_plane = np.array(positions, dtype=np.float64) - np.array([-x, -y, z])  # DICOM is LPS
    image = evidence[int(np.abs(from_plane @ normal).argmin())]
    return [sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)]
