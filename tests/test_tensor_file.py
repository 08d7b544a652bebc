import pytest
import torch

from common.errors import InputError
from common.tensor_file import write_tensors


def test_what_was_written_is_read_back(tmp_path):
    path = tmp_path / "new" / "state.pt"
    write_tensors(path, {"a": torch.arange(3), "b": [1, "two"]})
    found = torch.load(path, weights_only=True)
    assert found["a"].tolist() == [0, 1, 2]
    assert found["b"] == [1, "two"]


def test_a_full_disk_is_said_and_leaves_the_old_file_alone(tmp_path, full):
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    full(path)
    with pytest.raises(InputError, match=r"got .*state\.pt \(No space left on device\); choose"):
        write_tensors(path, {"a": torch.zeros(100_000)})
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("state.pt", b"old")]


def test_what_torch_cannot_write_is_torchs_own_error(tmp_path):
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        write_tensors(tmp_path / "state.pt", {"a": (n for n in ())})
    assert not list(tmp_path.iterdir())
