"""JSON content held against a type: one line per problem, and the type as a JSON Schema for users.

Types are `TypedDict`s of `typing_extensions`. pydantic does the checking; it is imported when it is
first asked, as that takes a tenth of a second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_SHOWN = 60  # characters of a value that an error shows
_WORDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "an object",
    "finite_number": "a finite number",
}
"""What pydantic's complaints ask for, said as the field says it."""


@dataclass(frozen=True)
class Rule:
    """Last beside a type in `Annotated`: what the value must be, in words that stand in errors.

    Attributes:
        words: Such as `three numbers above 0`; the description in the JSON Schema too.
        holds: Asked once the value is of the type.
        pattern: Of a text: a regular expression that Python and JSON Schema read alike.
    """

    words: str
    holds: Callable[[Any], bool] = lambda _: True
    pattern: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """As pydantic asks: the type's own check, whose complaints become one."""
        from pydantic_core import PydanticCustomError, ValidationError, core_schema

        def check(value: Any, inner: Callable[[Any], Any]) -> Any:
            try:
                found = inner(value)
            except ValidationError:
                found, held = value, False
            else:
                fits = not self.pattern or re.fullmatch(self.pattern, found)
                held = bool(fits) and self.holds(found)
            if not held:
                kind, template = "rule", "{words}"
                raise PydanticCustomError(kind, template, {"words": self.words})
            return found

        return core_schema.no_info_wrap_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """As pydantic asks: the type's own schema, the pattern and the words."""
        own = handler.resolve_ref_schema(handler(schema))
        pattern = {"pattern": self.pattern} if self.pattern else {}
        return {**own, **pattern, "description": self.words}


@dataclass(frozen=True)
class About:
    """Beside a type in `Annotated`: what the value tells, for the JSON Schema's readers."""

    words: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """As pydantic asks: the type's own schema, and the words."""
        return {**handler(schema), "description": self.words}


def problems_of(content: Any, of: Any, *, name: str) -> list[str]:
    """What keeps content from being of a type: `<name> must be <rule>, got <value>` each.

    Args:
        content: Of a JSON file. Keys that the type does not know may hold anything.
        of: The type.
        name: What the whole is called where it is itself of another kind.
    """
    from pydantic import ValidationError

    try:
        _adapter(of).validate_python(content, strict=True)
    except ValidationError as error:
        return [_said(each, name) for each in error.errors(include_url=False)]
    return []


def json_schema(of: Any, *, title: str) -> dict[str, Any]:
    """A type as a JSON Schema (draft 2020-12)."""
    from pydantic.json_schema import GenerateJsonSchema

    class Plain(GenerateJsonSchema):
        """No titles that repeat names, and alike from every version of pydantic."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

        def dict_schema(self, schema: Any) -> dict[str, Any]:
            found = super().dict_schema(schema)
            return {k: v for k, v in found.items() if (k, v) != ("additionalProperties", True)}

    schema = _adapter(of).json_schema(schema_generator=Plain)
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **schema, "title": title}


def shown(value: Any) -> str:
    """A value as its file has it, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@cache
def _adapter(of: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(of)


def _said(problem: Mapping[str, Any], name: str) -> str:
    where = _place(problem["loc"]) or name
    kind, told = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return f"{where} must be given, got nothing"
    words = told["words"] if kind == "rule" else _WORDS.get(kind) or told.get("expected")
    if words is None:
        return f"{where}: {problem['msg']}, got {shown(problem['input'])}"
    return f"{where} must be {words}, got {shown(problem['input'])}"


def _place(steps: Sequence[str | int]) -> str:
    """`presets.fast.overlap`, `case.input.shape_voxels[1]`, `files["model/vocab.json"]`."""
    named = [step for step in steps if step != "[key]"]  # pydantic's word for a key itself
    dotted = (
        f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{json.dumps(step)}]"
        for step in named
    )  # fmt: skip
    return "".join(dotted).removeprefix(".")
