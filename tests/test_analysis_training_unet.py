"""A widened network says what the narrow one said. Needs the extra `train`."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from analysis.training.unet import UNet, widened  # noqa: E402


def test_a_widened_network_gives_the_same_answers() -> None:
    torch.manual_seed(1)
    narrow = UNet(3, unfolded=False)
    wide = UNet(3, unfolded=False, widths=(16, 24, 40, 64, 96))
    wide.load_state_dict(widened(narrow.state_dict(), wide))
    planes = torch.randn(1, 6, 64, 64)
    with torch.no_grad():
        answers = [net.eval()(planes) for net in (narrow, wide)]
    assert torch.allclose(*answers, atol=1e-4)


def test_weights_of_a_wider_network_are_refused() -> None:
    wide, narrow = UNet(3, unfolded=False, widths=(16, 24, 40, 64, 96)), UNet(3, unfolded=False)
    with pytest.raises(RuntimeError, match=r"and \(32"):
        widened(wide.state_dict(), narrow)
