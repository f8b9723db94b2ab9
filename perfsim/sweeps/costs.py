"""What the costs of a front come to, for its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsim.sweeps.expression import ALIASES

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study


def with_costs(study: Study, columns: Columns) -> Columns:
    """The rows with a column for each cost that is an expression, named as it was written.

    columns: of the rows, arrays of shape (rows,), with what the costs need.
    """
    count = len(columns["network"])
    costs = {
        each.text.strip(): np.broadcast_to(np.asarray(each.of(columns), dtype=np.float64), count)
        for each in study.costs
        if ALIASES.get(each.text.strip(), each.text.strip()) not in columns
    }
    return {**columns, **costs}
