"""The truth about a head as sentences: what a radiologist would dictate."""

from __future__ import annotations

from collections.abc import Iterable

from ..scene import Finding

_PRESENT: dict[str, str] = {
    "Epidural haemorrhage": "A {side} epidural haematoma of {size} mm over the {place} is present.",
    "Acute subdural haemorrhage": (
        "An acute {side} subdural haematoma up to {size} mm thick is present."
    ),
    "Chronic subdural haemorrhage": (
        "A chronic {side} subdural haematoma up to {size} mm thick is present."
    ),
    "Subarachnoid haemorrhage": "Subarachnoid blood is seen in {spaces}.",
    "Intraparenchymal haemorrhage": "A haemorrhage of {size} mm is seen in the {side} {place}.",
    "Intraventricular haemorrhage": "Blood is seen in the {side_of}{place}.",
    "Acute infarct": "An acute infarct is seen in the {side} {place}.",
    "Old infarct": "An old infarct is seen in the {side} {place}.",
    "Mass": "A mass of {size} mm is seen at the {side} {place}.",
    "Hydrocephalus": "The {place} are enlarged, in keeping with hydrocephalus.",
    "Fracture": "The {side} {place} is fractured over {size} mm.",
    "Mass effect": "There is mass effect on the ventricles.",
    "Midline shift": "The midline is shifted to the {side} by {size} mm.",
}
_ABSENT: dict[tuple[str, ...], str] = {
    ("Epidural haemorrhage", "Acute subdural haemorrhage", "Chronic subdural haemorrhage",
     "Subarachnoid haemorrhage", "Intraparenchymal haemorrhage", "Intraventricular haemorrhage"):
        "No intracranial haemorrhage is seen.",
    ("Acute infarct", "Old infarct"): "No infarct is seen.",
    ("Mass",): "No mass is seen.",
    ("Midline shift",): "The midline is not shifted.",
    ("Hydrocephalus",): "The ventricles are not enlarged beyond age.",
    ("Fracture",): "No fracture is seen.",
}  # fmt: skip


def head_sentence(finding: Finding) -> str:
    """One finding as one sentence."""
    place = finding.lobe or ""
    words = {
        "side": finding.side or "",
        "side_of": f"{finding.side} " if finding.side in ("left", "right") else "",
        "place": place,
        "spaces": f"the sulci of the {finding.side} convexity"
        if place == "convexity"
        else "the basal cisterns",
        "size": f"{finding.size_mm:.0f}" if finding.size_mm is not None else "",
    }
    return _PRESENT[finding.label].format(**words)


def write_head_report(findings: Iterable[Finding]) -> str:
    """All findings, one sentence each, then what is normal."""
    written = list(findings)
    present = {finding.label for finding in written}
    lines = [head_sentence(finding) for finding in written]
    lines += [text for labels, text in _ABSENT.items() if not present & set(labels)]
    return " ".join(dict.fromkeys(lines))
