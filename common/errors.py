"""The errors a user can mend, said in one line; and the check that most share."""

from __future__ import annotations

import re
from typing import TypeVar

Kind = TypeVar("Kind", bound=BaseException)


class InputError(ValueError):
    """Input that breaks a rule: ``<name> must <rule>, got <value>; <what to do>``.

    Commands print its message alone, without a traceback, and exit with code 1. torch's loader
    makes an error of a worker process anew with the worker's traceback for a message: what stood
    in front of our own is taken off.
    """

    def __init__(self, message: str = "") -> None:
        if message.startswith("Caught ") and "\nOriginal Traceback" in message:
            message = re.split(rf"^[\w.]*{type(self).__name__}: ", message, flags=re.M)[-1].strip()
        super().__init__(message)


class OutputError(InputError):
    """A place that cannot be written: no case that comes after can end well either."""


def causes_of(error: BaseException) -> list[BaseException]:
    """An error, what it was raised from, and so on to the first; each once."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return chain


def first_of(error: BaseException, kind: type[Kind]) -> Kind | None:
    """The first error of a kind among an error and its causes."""
    return next((link for link in causes_of(error) if isinstance(link, kind)), None)


def at_least_one(**numbers: int) -> None:
    """Check counts by name.

    Raises:
        InputError: If one is below 1.
    """
    for name, number in numbers.items():
        if number < 1:
            msg = f"{name} must be 1 or more, got {number}; 1 takes least memory"
            raise InputError(msg)
