import pytest
from ignite.engine import Engine
from monai.transforms import Compose, Transform

from common.engines.scan_dataset import ScanDataset, TellLeftOut, read_left_out
from common.errors import InputError


class Read(Transform):
    """A scan that reads as its number; some cannot be read."""

    def __init__(self, broken):
        self.broken = broken

    def __call__(self, case):
        if case["image"] in self.broken:
            msg = f"{case['image']} must be whole, got half of it"
            raise InputError(msg)
        return {"image": int(case["image"])}


@pytest.fixture
def scans(tmp_path):
    def of(broken):
        return ScanDataset(
            [{"image": str(number)} for number in range(5)],
            Compose([Read(broken)]),
            cache_dir=tmp_path / "cache",
            left_out=tmp_path / "run" / "left_out.jsonl",
        )

    return of


def test_the_next_scan_stands_in_for_a_broken_one_and_the_list_says_why(scans, tmp_path):
    dataset = scans({"1", "4"})
    assert [dataset[number]["image"] for number in range(5)] == [0, 2, 2, 3, 0]
    assert [dataset[number]["image"] for number in range(5)] == [0, 2, 2, 3, 0]
    left_out = tmp_path / "run" / "left_out.jsonl"
    assert len(left_out.read_text().splitlines()) == 2
    assert read_left_out(left_out) == {
        number: f"{number} must be whole, got half of it" for number in ("1", "4")
    }


def test_two_processes_that_meet_the_same_scan_count_it_once(scans, tmp_path):
    for dataset in (scans({"2"}), scans({"2"})):
        assert dataset[2]["image"] == 3
    assert list(read_left_out(tmp_path / "run" / "left_out.jsonl")) == ["2"]


def test_no_scan_at_all_is_an_error_with_the_last_reason(scans):
    with pytest.raises(InputError, match=r"got none of 5; the last: 2 must be whole"):
        scans({"0", "1", "2", "3", "4"})[3]


def test_an_epoch_tells_of_new_ones_only(scans, tmp_path, caplog):
    dataset, left_out = scans({"1"}), tmp_path / "run" / "left_out.jsonl"
    engine = Engine(lambda _engine, number: dataset[number])
    TellLeftOut(left_out=left_out).attach(engine)
    engine.run(range(5), max_epochs=2)
    assert caplog.text.count("1 scans cannot be read") == 1
