"""Which findings a synthetic head has: how often each, and which come together.

Half of all heads have one or more. Shares are chosen for that, not published ones; loadings are
clinical common sense: a blow breaks bone and tears vessels, a ruptured aneurysm fills cisterns and
ventricles, sick arteries bleed and clot.
"""

from __future__ import annotations

from ...vocabulary.head_findings import HEAD_FINDINGS
from ..prevalence import LabelModel, LabelSet

TRAITS = ("blow", "rupture", "arteries", "growth")
HEAD_PREVALENCE: dict[str, LabelModel] = {
    "Epidural haemorrhage": LabelModel(0.045, {"blow": 0.80}),
    "Acute subdural haemorrhage": LabelModel(0.080, {"blow": 0.70}),
    "Chronic subdural haemorrhage": LabelModel(0.075, {"blow": 0.25}),
    "Subarachnoid haemorrhage": LabelModel(0.085, {"blow": 0.40, "rupture": 0.70}),
    "Intraparenchymal haemorrhage": LabelModel(0.095, {"rupture": 0.45, "arteries": 0.45}),
    "Intraventricular haemorrhage": LabelModel(0.055, {"rupture": 0.80}),
    "Acute infarct": LabelModel(0.095, {"arteries": 0.60}),
    "Old infarct": LabelModel(0.095, {"arteries": 0.65}),
    "Mass": LabelModel(0.070, {"growth": 0.60}),
    "Hydrocephalus": LabelModel(0.055, {"rupture": 0.40, "growth": 0.50}),
    "Fracture": LabelModel(0.070, {"blow": 0.85}),
}
HEAD_SET = LabelSet("head finding", HEAD_PREVALENCE, TRAITS)
assert tuple(HEAD_PREVALENCE) == HEAD_FINDINGS
