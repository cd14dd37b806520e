"""Dealing ops to ranked rows; what the rule is, and why, stands in `lope_data.inject.rank`."""

from __future__ import annotations

import numpy as np

from lope_data.text.kernels.compiling import I64, I64_IN, I64_OUT, U8_MATRIX_IN, Bytes, kernel


@kernel(I64_IN, I64_IN, I64_IN, I64_IN, I64_IN, U8_MATRIX_IN, I64_OUT, I64_OUT)
def dealt(
    level_of: I64,
    op_num: I64,
    op_den: I64,
    level_num: I64,
    level_den: I64,
    able: Bytes,
    op_count: I64,
    level_count: I64,
) -> I64:
    """For each row, of shape (rows, ops) in `able`, the op that it is dealt, -1 where it can take none.

    Args:
        level_of: the level of each op.
        op_num, op_den: the weight of each op within its level; level_num, level_den: those of the levels.
        op_count, level_count: how often each was dealt to the rows before, to which these are added.
    """
    rows, ops, levels = able.shape[0], able.shape[1], len(level_num)
    out = np.full(rows, -1, np.int64)
    open_, turns = np.zeros(levels, np.uint8), level_count.sum()
    for row in range(rows):
        open_[:] = 0
        for op in range(ops):
            if able[row, op]:
                open_[level_of[op]] = 1
        if not open_.any():
            continue
        turns += 1
        room = False  # whether any level that is open is below its share of the turns
        for k in range(levels):
            if open_[k] and level_count[k] < -(-level_num[k] * turns // level_den[k]):
                room = True
        level, due, owed = -1, 0.0, 0.0
        for k in range(levels):
            if not open_[k] or (room and level_count[k] >= -(-level_num[k] * turns // level_den[k])):
                continue
            mine = ((level_count[k] + 1) * level_den[k]) / level_num[k]
            if level >= 0 and mine > due:
                continue
            first = np.inf  # when the op of this level that is owed most is due
            for op in range(ops):
                if able[row, op] and level_of[op] == k:
                    first = min(first, ((op_count[op] + 1) * op_den[op]) / op_num[op] * (level_den[k] / level_num[k]))
            if level < 0 or mine < due or first < owed:
                level, due, owed = k, mine, first
        level_count[level] += 1
        count = level_count[level]
        room = False
        for op in range(ops):
            if able[row, op] and level_of[op] == level and op_count[op] < -(-op_num[op] * count // op_den[op]):
                room = True
        chosen, due = -1, 0.0
        for op in range(ops):
            if not able[row, op] or level_of[op] != level:
                continue
            if room and op_count[op] >= -(-op_num[op] * count // op_den[op]):
                continue
            mine = ((op_count[op] + 1) * op_den[op]) / op_num[op]
            if chosen < 0 or mine < due:
                chosen, due = op, mine
        op_count[chosen] += 1
        out[row] = chosen
    return out
