import pickle

import pytest
from torch.utils.data import DataLoader, Dataset

from common.errors import InputError, at_least_one


class Broken(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, _index):
        try:
            {}["scan"]
        except KeyError as error:
            msg = "scan must be whole, got InputError: half; copy it again"
            raise InputError(msg) from error


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_of_a_loaders_process_is_as_short_as_our_own(num_workers):
    with pytest.raises(InputError) as caught:
        list(DataLoader(Broken(), num_workers=num_workers))
    assert str(caught.value) == "scan must be whole, got InputError: half; copy it again"


def test_an_error_travels_between_processes():
    assert str(pickle.loads(pickle.dumps(InputError("a must be b")))) == "a must be b"


def test_a_count_below_one_is_named():
    with pytest.raises(InputError, match="windows must be 1 or more, got 0"):
        at_least_one(size=1, windows=0)
