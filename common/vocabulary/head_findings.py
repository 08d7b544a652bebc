"""What a head CT is read for: names of findings, and of what follows from them.

The kinds of bleeding are those that CQ500's reads tell apart (Chilamkurthy et al., Lancet 2018);
old blood under the dura, infarcts, masses, hydrocephalus are added.
"""

from __future__ import annotations

HEAD_FINDINGS: tuple[str, ...] = (
    "Epidural haemorrhage",
    "Acute subdural haemorrhage",
    "Chronic subdural haemorrhage",
    "Subarachnoid haemorrhage",
    "Intraparenchymal haemorrhage",
    "Intraventricular haemorrhage",
    "Acute infarct",
    "Old infarct",
    "Mass",
    "Hydrocephalus",
    "Fracture",
)
"""What can be wrong with a head."""

HEAD_CONSEQUENCES: tuple[str, ...] = ("Mass effect", "Midline shift")
"""What follows where something takes room."""

ABNORMAL = "Abnormal"
HEAD_LABELS: tuple[str, ...] = (ABNORMAL, *HEAD_FINDINGS)
"""A head's labels in the order of its `label` row; the first is 1 where any other is."""
