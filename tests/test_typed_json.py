"""JSON held against a type: one line per problem, and a JSON Schema."""

import json
import subprocess
import sys
from typing import Annotated, Any, Required

import jsonschema
import pytest
from typing_extensions import TypedDict

from common.typed_json import About, Rule, json_schema, problems_of
from scripts.write_schemas import FOLDER, schemas


class Part(TypedDict, total=False):
    """A part."""

    size: Annotated[list[int], Rule("two sizes", lambda sizes: len(sizes) == 2)]
    code: Annotated[str, Rule("two letters", pattern="^[A-Z]{2}$"), About("Of the country.")]
    share: float


class Whole(TypedDict, total=False):
    """A whole."""

    name: Required[str]
    parts: dict[str, Part]
    steps: list[int]
    free: Any


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ({"name": "a", "unknown": 1, "free": [None]}, []),
        ({"name": "a", "parts": {"p": {"size": [1, 2], "code": "DE", "share": 1}}}, []),
        ({}, ["name must be given, got nothing"]),
        ([1], ["whole must be an object, got [1]"]),
        ({"name": 3, "steps": [1, "2"]}, [
            "name must be text, got 3", 'steps[1] must be a whole number, got "2"',
        ]),
        ({"name": "a", "steps": [True]}, ["steps[0] must be a whole number, got true"]),
        ({"name": "a", "steps": [1.5]}, ["steps[0] must be a whole number, got 1.5"]),
        ({"name": "a", "steps": {}}, ["steps must be a list, got {}"]),
        ({"name": "a", "parts": {"p q": {"size": [1]}}}, [
            'parts["p q"].size must be two sizes, got [1]',
        ]),
        ({"name": "a", "parts": {"p": {"size": "12", "code": "de", "share": "1"}}}, [
            'parts.p.size must be two sizes, got "12"',
            'parts.p.code must be two letters, got "de"',
            'parts.p.share must be a number, got "1"',
        ]),
        ({"name": "a", "parts": {"p": {"code": "DE\n"}}}, [
            'parts.p.code must be two letters, got "DE\\n"',
        ]),
        ({"name": [0] * 50}, [f"name must be text, got [{'0, ' * 19}0,..."]),
    ],
)  # fmt: skip
def test_each_problem_is_one_line_with_name_rule_and_value(content, problems):
    assert problems_of(content, Whole, name="whole") == problems


def test_the_schema_says_the_same_to_other_programs():
    schema = json_schema(Whole, title="Whole")
    assert schema["title"] == "Whole"
    assert schema["required"] == ["name"]
    code = schema["$defs"]["Part"]["properties"]["code"]
    assert code == {"type": "string", "pattern": "^[A-Z]{2}$", "description": "Of the country."}
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate({"name": "a", "parts": {"p": {"code": "DE"}}, "unknown": 1})
    for wrong in ({}, {"name": 1}, {"name": "a", "parts": {"p": {"code": "de"}}}):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize("name", ["result.json", "card.json"])
def test_the_schemas_of_the_documentation_are_those_of_the_code(name):
    written = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert written == schemas()[name], "run scripts/write_schemas.py"


def test_the_schemas_take_what_the_repository_holds(repository):
    card, result = (
        jsonschema.Draft202012Validator(json.loads((FOLDER / name).read_text()))
        for name in ("card.json", "result.json")
    )
    paths = [p for p in repository.glob("bundles/*/models/*.json") if p.stem != "key_map"]
    assert len(paths) >= 8
    for path in paths:
        card.validate(json.loads(path.read_text()))
    result.validate(json.loads((repository / "tests/golden/case_result.json").read_text()))
    assert not result.is_valid({"schema_version": 2})
    assert not card.is_valid({"name": "x", "files": {"../x": "0" * 64}})


def test_pydantic_waits_until_something_is_checked(repository):
    code = "import sys, common.results.case_result as _; print('pydantic' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"
