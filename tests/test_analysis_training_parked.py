"""Pictures that are kept on disk."""

import multiprocessing

import numpy as np
import pytest

from analysis.training.parked import parked


@pytest.mark.parametrize("shape", [(5, 7, 3), (0, 2)])
def test_a_parked_array_is_the_same(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    kept = parked(array[::-1])
    np.testing.assert_array_equal(kept, array[::-1])
    assert kept.dtype == array.dtype


def test_a_process_forked_later_reads_it() -> None:
    kept = parked(np.arange(1000))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(int(kept.sum())))
    process.start()
    process.join()
    assert queue.get() == 499_500
