"""The README's rows are what the bundles say of themselves."""

import re
from dataclasses import replace

import pytest

from common.bundle.catalog import list_bundles
from common.errors import InputError
from scripts.write_readme import BEGIN, PICTURES, README, REPOSITORY, row, with_rows


def test_the_readme_tells_the_bundles_as_they_are():
    text = README.read_text()
    assert with_rows(text) == text


def test_a_row_follows_the_bundle():
    text = README.read_text()
    assert with_rows(text.replace("| [`ct_scroll`]", "| [`ct_scrawl`]")) == text


def test_a_readme_without_marks_is_refused():
    with pytest.raises(InputError, match=r"README must hold .* once each, got another number"):
        with_rows(README.read_text().replace(BEGIN, ""))


def test_a_task_is_told_in_eight_words():
    bundle = replace(list_bundles()[0], task="one two three four five six seven eight nine")
    with pytest.raises(InputError, match="task must have 8 words at most"):
        row(bundle)


def test_pictures_and_links_are_there():
    assert set(PICTURES) <= {bundle.name for bundle in list_bundles()}
    text = README.read_text()
    for target in re.findall(r'(?:\]\(|src="|href=")([\w./-]+?)(?:#[\w-]+)?[")]', text):
        assert (REPOSITORY / target).exists(), target
