"""Weights out of an exported network. Needs the extra `train`."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from analysis.training.course import export  # noqa: E402
from analysis.training.shipped import weights_of  # noqa: E402
from analysis.training.unet import INTERFACE, UNet  # noqa: E402
from corridor import InputError  # noqa: E402

WIDTHS = (4, 6, 8, 10, 12)

# The exporter that needs nothing more than torch is about to go.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def trained(seed: int) -> UNet:
    """A network whose normalisations have seen something."""
    torch.manual_seed(seed)
    net = UNet(3, unfolded=False, widths=WIDTHS)
    with torch.no_grad():
        for _ in range(3):
            net.train()(2.0 + 3.0 * torch.randn(2, 6, 64, 64))
    return net.eval()


def test_they_give_the_same_answers_in_use_and_in_training(tmp_path: Path) -> None:
    net, planes = trained(1), torch.randn(2, 6, 64, 64)
    export(net, tmp_path / "net.onnx", INTERFACE)
    again = UNet(3, unfolded=False, widths=WIDTHS)
    again.load_state_dict(weights_of(tmp_path / "net.onnx", lambda: planes, batches=1))
    with torch.no_grad():
        wanted = net(planes)
        assert torch.allclose(again.eval()(planes), wanted, atol=1e-4)
        # Normalised by what was seen, which is this batch.
        assert torch.allclose(again.train()(planes), wanted, atol=1e-3)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("no network")
    with pytest.raises(InputError, match="as training exports it"):
        weights_of(tmp_path / "net.onnx", lambda: torch.zeros(1, 6, 64, 64))
