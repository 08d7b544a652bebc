"""Write the JSON Schemas of what users read and write: `python scripts/write_schemas.py`.

`docs/schema/result.json` is of every case's `result.json`, `docs/schema/card.json` of the cards
beside weights. Both are made of the types that the code itself checks with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.atomic import write_text
from common.results.schema import CaseResult
from common.typed_json import json_schema
from common.weights.card_content import CardContent

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schema"


def schemas() -> dict[str, dict[str, Any]]:
    return {
        "result.json": json_schema(CaseResult, title="Result of one case"),
        "card.json": json_schema(CardContent, title="Model card"),
    }


def main() -> None:
    for name, schema in schemas().items():
        write_text(FOLDER / name, json.dumps(schema, indent=2) + "\n")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
