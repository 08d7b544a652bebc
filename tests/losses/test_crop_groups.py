"""Groups of crops, and that two processes compare what one would."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from common.errors import InputError
from common.losses.contrastive import NTXentLoss
from common.losses.crop_groups import crop_groups, from_all_processes
from common.losses.non_contrastive import VICRegLoss

LOSSES = {"ntxent": NTXentLoss(within="batch"), "vicreg": VICRegLoss()}


def numbers():
    return torch.sin(torch.arange(4 * 3 * 2 * 5.0)).reshape(4, 3, 2, 5)


def loss_and_gradient(loss, inputs):
    """Of a weight `(5, 4)` that makes embeddings of inputs."""
    weight = torch.cos(torch.arange(20.0)).reshape(5, 4).requires_grad_()
    value = loss(inputs @ weight)
    value.backward()
    return value.detach(), weight.grad


def test_a_group_is_a_scan_or_the_whole_batch():
    z = numbers()
    assert torch.equal(crop_groups(z, "scan"), z)
    assert torch.equal(crop_groups(z, "batch"), z.reshape(1, 12, 2, 5))


def one_of_two(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for name, loss in LOSSES.items():
        value, gradient = loss_and_gradient(loss, numbers()[2 * rank : 2 * rank + 2])
        dist.all_reduce(gradient)  # as DistributedDataParallel does
        found[name] = (value, gradient / 2)
    try:
        from_all_processes(torch.ones(3 + rank, 2))
    except InputError as error:
        found["error"] = str(error)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_loss_and_gradient_of_one(tmp_path):
    mp.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found.pop("error").startswith(
            "processes must have the same number of crops, got [3, 4]; replace a scan"
        )
        for name, loss in LOSSES.items():
            wanted = loss_and_gradient(loss, numbers())
            torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-6)


def test_a_batch_of_a_single_crop_is_refused():
    with pytest.raises(InputError, match="2 crops or more of each batch, got 1"):
        crop_groups(torch.ones(1, 1, 2, 5), "batch")
