import io
import random

import numpy as np
import torch

from runner.callbacks.random_state import get_random_state, set_random_state


def draw() -> list:
    return [torch.rand(5).tolist(), torch.randn(3).tolist(), np.random.rand(4).tolist(), random.random(),
            np.random.normal(), random.gauss(0, 1)]  # fmt: skip


def test_all_generators_are_restored_from_a_weights_only_file() -> None:
    np.random.normal()  # numpy and Python hold a second normal number back: it belongs to the state
    random.gauss(0, 1)
    file = io.BytesIO()
    torch.save(get_random_state(), file)
    expected = [draw(), draw()]
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True))
    assert [draw(), draw()] == expected


def test_reading_the_state_does_not_advance_generators() -> None:
    state = get_random_state()
    expected = draw()
    set_random_state(state)
    get_random_state()
    assert draw() == expected


def test_absent_devices_are_skipped() -> None:
    state = get_random_state() | {
        "cuda": [torch.zeros(16, dtype=torch.uint8)] * 9 if not torch.cuda.is_available() else []
    }
    expected = draw()
    set_random_state(state)
    assert draw() == expected
