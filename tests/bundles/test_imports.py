"""What a command need not import, it does not: most of its first seconds are imports."""

import re
import subprocess
import sys
from pathlib import Path

from common.bundle.catalog import list_bundles

from .conftest import ENVIRONMENT, REPOSITORY

NOT_NEEDED = (
    "common.phantom", "highdicom", "pyarrow", "pandas", "openvino", "tensorboard", "voyager",
    "umap", "matplotlib.backends.backend_agg",
)  # fmt: skip

# What all parts of the configs import beyond MONAI, which imports much of the above by itself.
IMPORT_ALL = """
import importlib, sys
import ignite.engine, monai.bundle
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(set(sys.modules) - before))
"""


def test_inference_imports_no_phantoms_and_nothing_that_only_results_take():
    configs = [Path(entry.path, "configs", "inference.json") for entry in list_bundles()]
    text = "".join(config.read_text(encoding="utf-8") for config in configs)
    parts = set(re.findall(r'"_target_": "(common\.[\w.]+)\.\w+"', text))
    assert {"common.cases.find", "common.outputs.segmentation"} <= parts
    found = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *sorted(parts)],
        cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert [name for name in found if name.startswith(NOT_NEEDED)] == []
