import os
import threading
from pathlib import Path

import pytest
import torch
from monai.transforms import Compose, Lambdad, RandLambdad, Transform

from common.engines import cached_cases
from common.engines.cached_cases import CachedCases, FreshCases
from common.errors import InputError


class Read(Transform):
    """Read a scan that is a text file of one number, and its mask; counts how often."""

    def __init__(self, scale=1.0):
        self.scale = scale
        self._times = 0

    def __call__(self, case):
        self._times += 1
        scan, mask = (float(Path(case[key]).read_text()) for key in ("image", "label"))
        return {"image": torch.tensor(scan * self.scale), "label": torch.tensor(mask)}


@pytest.fixture
def case(tmp_path):
    (tmp_path / "scan.txt").write_text("1")
    (tmp_path / "mask.txt").write_text("10")
    return {
        "case_id": "a",
        "image": str(tmp_path / "scan.txt"),
        "label": str(tmp_path / "mask.txt"),
    }


@pytest.fixture
def dataset(tmp_path):
    def of(case, *steps):
        return CachedCases([case], Compose(list(steps)), cache_dir=tmp_path / "run" / "cache")

    return of


def entries(tmp_path):
    return list((tmp_path / "run" / "cache").iterdir())


def test_a_case_is_read_once_by_this_run_and_the_next(case, dataset, tmp_path):
    read = Read()
    for found in (dataset(case, read), dataset(case, read)):
        assert [float(found[0]["image"]), float(found[0]["label"])] == [1, 10]
    assert read._times == 1
    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize(("key", "found"), [("image", [2, 10]), ("label", [1, 2])])
def test_a_corrected_file_is_read_again_and_its_entry_replaced(case, dataset, tmp_path, key, found):
    read = Read()
    before = dataset(case, read)
    assert before[0]["image"] == 1
    (tmp_path / f"{'scan' if key == 'image' else 'mask'}.txt").write_text("2")
    for each in (before, dataset(case, read)):  # a run that goes on sees it, and so does the next
        assert [float(each[0]["image"]), float(each[0]["label"])] == found
    assert read._times == 2
    assert len(entries(tmp_path)) == 1


def test_the_same_size_at_another_time_is_another_file(case, dataset, tmp_path):
    scan = tmp_path / "scan.txt"
    os.utime(scan, ns=(0, 1_000))
    assert dataset(case, Read())[0]["image"] == 1
    scan.write_text("3")
    os.utime(scan, ns=(0, 1_001))
    assert dataset(case, Read())[0]["image"] == 3


def test_other_settings_and_steps_have_entries_of_their_own(case, dataset, tmp_path):
    double = Lambdad("image", lambda image: 2 * image)
    found = [
        dataset(case, Read(), *steps)[0]["image"]
        for steps in ((), (double,), (Lambdad("image", lambda image: 3 * image),))
    ]
    assert found == [1, 2, 3]
    assert dataset(case, Read(scale=5.0))[0]["image"] == 5
    assert len(entries(tmp_path)) == 4


def test_other_code_makes_the_entry_anew(case, dataset, monkeypatch):
    read = Read()
    dataset(case, read)[0]
    monkeypatch.setattr(cached_cases, "code_stamp", lambda: "another version")
    dataset(case, read)[0]
    assert read._times == 2


def test_random_steps_are_not_kept_even_below_a_compose(case, dataset):
    read, turn = Read(), RandLambdad("image", lambda image: image + torch.rand(()), prob=1.0)
    found = dataset(case, Compose([Compose([read]), turn]))
    assert found[0]["image"] != found[0]["image"]
    assert read._times == 1


@pytest.mark.parametrize("damage", ["half", "empty", "text", "another kind", "a pickle"])
def test_an_entry_that_cannot_be_read_is_a_miss(case, dataset, tmp_path, caplog, damage):
    assert dataset(case, Read())[0]["image"] == 1
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    match damage:
        case "half":
            entry.write_bytes(whole[: len(whole) // 2])
        case "empty":
            entry.write_bytes(b"")
        case "text":
            entry.write_text("no space left on device")
        case "another kind":
            torch.save({"image": torch.zeros(1)}, entry)  # as MONAI's own dataset keeps it
        case "a pickle":
            torch.save({"made_of": Read(), "item": 1}, entry)
    for _ in range(2):
        assert dataset(case, Read())[0]["image"] == 1
    assert caplog.text.count("its scan is read again") == 1
    assert torch.load(entry, weights_only=True).keys() == {"made_of", "item"}


def test_it_is_written_beside_its_place_and_not_in_the_temporary_folder(
    case, dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    assert dataset(case, Read())[0]["image"] == 1
    assert len(entries(tmp_path)) == 1


def test_a_full_disk_ends_the_run_in_one_line_and_leaves_nothing(case, dataset, tmp_path, full):
    found = dataset(case, Read())
    full(tmp_path / "run" / "cache" / "entry")
    with pytest.raises(InputError, match=r"can be written, got .*cache.* \(No space left on dev"):
        found[0]
    assert not entries(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(case, dataset, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match=r"must be a place that can be written, got .*run"):
        dataset(case, Read())[0]


def test_nothing_is_made_before_a_case_is_read(case, dataset, tmp_path):
    dataset(case, Read())
    assert not (tmp_path / "run").exists()


def test_what_a_killed_run_left_is_removed_and_what_another_writes_is_not(case, dataset, tmp_path):
    dataset(case, Read())[0]
    old, new = (tmp_path / "run" / "cache" / f".partial-{name}" for name in ("old", "new"))
    for partial in (old, new):
        partial.write_bytes(b"half")
    os.utime(old, (0, 0))
    dataset(case, Read())
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("kind", [CachedCases, FreshCases])
def test_a_case_whose_mask_is_gone_ends_the_training_by_name(case, tmp_path, kind):
    (tmp_path / "mask.txt").unlink()
    where = {"cache_dir": tmp_path / "run" / "cache"} if kind is CachedCases else {}
    found = kind([case], Compose([Read()]), **where)
    with pytest.raises(
        InputError,
        match=r"^a \(.*scan.txt\) must be a case that can be trained on, got: .*mask.txt.*; mend",
    ):
        found[0]


def test_two_trainings_that_share_a_cache_see_whole_entries(case, dataset, tmp_path):
    found = []
    dataset(case, Read())[0]
    (entry,) = entries(tmp_path)

    def train():
        for _ in range(20):
            entry.unlink(missing_ok=True)
            found.append(float(dataset(case, Read())[0]["image"]))

    both = [threading.Thread(target=train) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert found == [1.0] * 40
    assert entries(tmp_path) == [entry]
