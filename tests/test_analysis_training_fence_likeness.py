"""The network that compares a fence with itself, and how crops are laid along a fence for it."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from analysis.fence.features import CHANNELS  # noqa: E402
from analysis.fence.likeness import INPUTS, ROWS  # noqa: E402
from analysis.fence.posts import PLANES  # noqa: E402
from analysis.training.course import fill, save  # noqa: E402
from analysis.training.fence import widened  # noqa: E402
from analysis.training.fence_likeness import INTERFACE, LikenessNet, laid  # noqa: E402
from analysis.training.fence_paint import CROP  # noqa: E402
from analysis.training.unet import UNet  # noqa: E402
from corridor import InputError  # noqa: E402


def test_a_crop_is_laid_along_its_fence() -> None:
    cell = np.full(CROP // 2, 40.0, np.float32)
    inputs = np.zeros((CHANNELS, 224, CROP), np.float32)
    inputs[:, 77:85] = 1.0  # the fence, where cell 40 is row 80.5
    out = laid((inputs, cell, np.zeros(CROP // 2, np.int64)), np.random.default_rng(2))
    assert out is not None
    along, state = out
    assert along.shape == (CHANNELS + PLANES, ROWS, CROP)
    middle = np.average(np.arange(ROWS), weights=along[0].mean(axis=1))
    assert middle == pytest.approx((ROWS - 1) / 2, abs=6)
    assert len(state) == CROP // 2
    nothing = np.full(CROP // 2, np.nan, np.float32)
    assert laid((inputs, nothing, state.astype(np.int64)), np.random.default_rng(2)) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_exported_answers_as_what_was_trained(tmp_path: Path) -> None:
    net = LikenessNet().eval()
    save(net, tmp_path / "x.onnx", INTERFACE)
    strip = torch.randn(1, INPUTS, ROWS, 96)
    with torch.no_grad():
        wanted = net(strip).numpy()
    session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"))
    (answer,) = session.run(None, {"strip": strip.numpy()})
    assert answer.shape == (1, 4, 48)
    np.testing.assert_allclose(answer, wanted, atol=1e-4)


def test_it_goes_on_from_weights_with_fewer_inputs_and_says_the_same(tmp_path: Path) -> None:
    net = LikenessNet().eval()
    older = net.state_dict() | {"stem.0.weight": net.state_dict()["stem.0.weight"][:, :10].clone()}
    again = LikenessNet().eval()
    fill(again, widened(older, INPUTS), tmp_path / "x.pt")
    strip = torch.randn(1, INPUTS, ROWS, 96)
    strip[:, 10:] = 0.0
    with torch.no_grad():
        assert torch.allclose(net(strip), again(strip))
        strip[:, 10:] = 1.0
        assert not torch.allclose(net(strip), again(strip))
    with pytest.raises(InputError, match=r"x\.pt"):
        fill(LikenessNet(), UNet(2, unfolded=True).state_dict(), tmp_path / "x.pt")
