import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from latentfields.training.muon import Muon, MuonWithAdam, orthogonalised


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 2**31 - 1))
def test_singular_values_come_close_to_one_and_spaces_stay(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rank = min(rows, columns)
    left, _ = torch.linalg.qr(torch.randn(rows, rank, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(columns, rank, generator=generator, dtype=torch.float64))
    values = 0.3 + torch.rand(rank, generator=generator, dtype=torch.float64)
    out = orthogonalised(left @ torch.diag(100 * values) @ right.T)
    inner = left.T @ out @ right
    torch.testing.assert_close(left @ inner @ right.T, out)
    assert (inner - torch.diag(inner.diag())).abs().max() < 1e-6
    assert inner.diag().min() > 0.6
    assert inner.diag().max() < 1.3


def test_scale_of_the_gradient_does_not_matter() -> None:
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(orthogonalised(matrix), orthogonalised(1e-6 * matrix), atol=1e-4, rtol=0)
    assert orthogonalised(torch.zeros(3, 4)).isfinite().all()


def test_a_step_moves_by_the_learning_rate_in_spectral_norm() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 3, 3, 3))
    before = weight.detach().clone()
    optimizer = Muon([weight], lr=0.1)
    (weight * torch.randn(weight.shape)).sum().backward()
    optimizer.step()
    singular = torch.linalg.svdvals((weight.detach() - before).flatten(1))
    assert ((singular > 0.06) & (singular < 0.13)).all()


def test_tall_matrices_move_further() -> None:
    weight = nn.Parameter(torch.zeros(16, 4))
    optimizer = Muon([weight], lr=0.1)
    (weight * torch.randn(16, 4, generator=torch.Generator().manual_seed(0))).sum().backward()
    optimizer.step()
    assert torch.linalg.svdvals(weight.detach()).mean().item() == pytest.approx(0.2, rel=0.3)


def test_it_solves_a_least_squares_problem() -> None:
    generator = torch.Generator().manual_seed(0)
    target, inputs = torch.randn(5, 7, generator=generator), torch.randn(64, 7, generator=generator)
    weight = nn.Parameter(torch.zeros(5, 7))
    optimizer = Muon([weight], lr=0.1, momentum=0.9)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        optimizer.zero_grad()
        (inputs @ (weight - target).T).square().mean().backward()
        optimizer.step()
    assert (weight - target).abs().max() < 0.02


def test_parameters_without_gradient_stay() -> None:
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = Muon([used, unused], lr=0.1)
    used.sum().backward()
    optimizer.step()
    assert torch.equal(unused, torch.ones(2, 2))
    assert not torch.equal(used, torch.ones(2, 2))


def test_beside_adam_both_are_what_they_are_alone() -> None:
    def parameters() -> list[nn.Parameter]:
        torch.manual_seed(0)
        return [nn.Parameter(torch.randn(shape)) for shape in ((5, 4), (4,), (2,))]

    alone, together = parameters(), parameters()
    adam = {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3}
    apart: list[torch.optim.Optimizer] = [
        Muon(alone[:1], lr=0.1, momentum=0.7),
        torch.optim.Adam(alone[1:], fused=True, **adam),  # type: ignore[arg-type]
    ]
    one = MuonWithAdam(
        [{"params": together[:1], "lr": 0.1, "momentum": 0.7}, {"params": together[1:], **adam}]
    )
    for step in range(4):
        for matrix, vector, unseen in (alone, together):
            loss = ((matrix - 1) @ vector).square().sum() + (unseen.square().sum() if step == 2 else 0)
            loss.backward()
        for optimizer in (*apart, one):
            optimizer.step()
            optimizer.zero_grad()
    for expected, actual in zip(alone, together, strict=True):
        assert torch.equal(expected, actual)
