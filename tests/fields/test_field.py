import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.fields.field import apply_head, truncated_exp


@settings(deadline=None, max_examples=30)
@given(x=st.floats(-80, 11))
def test_truncated_exp_is_exp_where_it_matters(x: float) -> None:
    value = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    out = truncated_exp(value)
    out.sum().backward()
    assert out.item() == pytest.approx(math.exp(x))
    assert value.grad is not None
    assert value.grad.item() == pytest.approx(math.exp(x))


def test_truncated_exp_stays_finite_and_keeps_a_gradient_that_leads_back() -> None:
    value = torch.tensor([11.5, 100.0, 1e30], requires_grad=True)
    out = truncated_exp(value)
    (3 * out).sum().backward()
    assert out.tolist() == pytest.approx([math.exp(11)] * 3)
    assert value.grad is not None
    assert value.grad.tolist() == pytest.approx([3 * math.exp(11)] * 3)


def test_heads() -> None:
    features = torch.tensor([[-100.0, 0.0, 2.5]])
    assert torch.equal(apply_head(features, "linear"), features)
    assert apply_head(features, "sigmoid")[0].tolist() == pytest.approx([0, 0.5, 1 / (1 + math.exp(-2.5))])
