"""Rows: the place of each candidate in the products that all candidates share.

How a processor sums up a row of a matrix product depends on how many rows the product has and on which of them it is;
so would the last bits of the logits of a candidate, and now and then a note. Here both are fixed: products have `ROWS`
rows, used or not, and a candidate keeps the row that its seed gives it. What it computes is then its own by
construction, on every processor, whichever candidates are composed beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["ROWS", "Product", "in_blocks", "padded", "rows_of"]

ROWS = 8
"""Rows of every product of candidates, as many as `regenerate` composes; packed, eight cost half more than one."""

Product = Callable[[Tensor], Tensor]
"""A function (n, in) -> (n, out)."""


def rows_of(seeds: Sequence[int]) -> list[int]:
    """Return the row of the candidate of each seed.

    It is the seed modulo `ROWS`, in the first block of `ROWS` rows where that one is free.
    """
    found: list[int] = []
    used: dict[int, int] = {}
    for seed in seeds:
        block = used.get(seed % ROWS, 0)
        used[seed % ROWS] = block + 1
        found.append(block * ROWS + seed % ROWS)
    return found


def padded(x: Tensor, rows: Tensor) -> Tensor:
    """Return x (n, …) with row i at `rows[i]` of whole blocks of `ROWS` rows, zeros in the others."""
    blocks = int(rows.max()) // ROWS + 1 if len(rows) else 1
    spread = x.new_zeros(blocks * ROWS, *x.shape[1:])
    spread[rows] = x
    return spread


def in_blocks(product: Product, x: Tensor) -> Tensor:
    """Return the product of x (blocks * `ROWS`, in), a block of `ROWS` rows at a time."""
    if len(x) == ROWS:
        return product(x)
    return torch.cat([product(block) for block in torch.split(x, ROWS)])
