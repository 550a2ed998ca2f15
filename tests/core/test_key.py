import numpy as np

from cmt_bridge.core.key import key_of


def test_keys_are_heard() -> None:
    scale = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], float)
    scale[0] += 2
    assert key_of(scale) == (0, 0)
    assert key_of(np.roll(scale, 7)) == (7, 0)
    minor = np.array([3, 0, 1, 1.5, 0, 1, 0, 2, 1, 0, 1, 0], float)
    assert key_of(np.roll(minor, 9)) == (9, 1)
