import numpy as np
import pytest

from cmt_bridge.training.measures.hashes import inverse, mixed, occurs, powers, sums


def test_arithmetic_is_modulo_two_to_the_64th() -> None:
    base = 0xD1342543DE82EF93
    assert powers(base, 5).tolist() == [pow(base, n, 2**64) for n in range(5)]
    assert (powers(base, 9) * powers(inverse(base), 9) == 1).all()
    assert sums(np.array([1, 2**64 - 1, 5], np.uint64)).tolist() == [0, 1, 0, 5]


def test_numbers_are_spread() -> None:
    # SplitMix64 with seed 0 begins so (Steele, Lea & Flood; the published test vector).
    assert mixed([1, 2]).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert len(np.unique(mixed(np.arange(100_000)))) == 100_000


@pytest.mark.parametrize("count", [0, 1, 500])
def test_what_occurs_is_found(count: int) -> None:
    rng = np.random.default_rng(count)
    numbers = mixed(rng.integers(0, 1000, 3000))
    among = mixed(rng.integers(0, 1000, count))
    assert occurs(numbers, among).tolist() == np.flatnonzero(np.isin(numbers, among)).tolist()
