"""A flow: items in order of time, which is how they travel from stage to stage.

Items of one instant form a group, so the times are written once a group and not once an item: a batch departs as one
group. Within a group the items ascend, which is the order of admission. Groups follow each other in time; two that
follow each other may be of one instant, if the items of the first come before those of the second.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipesim.engine.compiled.jit import kernel
from pipesim.engine.compiled.memory import concatenated, empty

Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

NEVER = int(np.iinfo(np.int64).max)
AT_ONCE: Integers = np.zeros(0, np.int64)
"""Nothing is added to a finish."""


class Flow(NamedTuple):
    """Items in order of time.

    Parameters
    ----------
    at_ns
        Shape ``(groups,)``, int64: the instant of each group.
    end
        Shape ``(groups,)``, int32: how many items there are up to the end of each group.
    item
        Shape ``(items,)``, int32: the items, group after group.
    """

    at_ns: Integers
    end: Indices
    item: Indices

    @classmethod
    def empty(cls, items: int) -> "Flow":
        """Return a buffer for up to so many items, each in a group of its own."""
        return cls(empty(items, np.int64), empty(items, np.int32), empty(items, np.int32))

    def first(self, groups: int) -> "Flow":
        """Return the first groups, without a copy."""
        items = int(self.end[groups - 1]) if groups else 0
        return Flow(self.at_ns[:groups], self.end[:groups], self.item[:items])

    def copied(self) -> "Flow":
        """Return a copy that takes no more memory than it needs."""
        return Flow(self.at_ns.copy(), self.end.copy(), self.item.copy())

    def delayed(self, delay_ns: int) -> "Flow":
        """Return the same items later."""
        return self._replace(at_ns=self.at_ns + delay_ns) if delay_ns else self

    def followed_by(self, later: "Flow") -> "Flow":
        """Return these groups and then those of a flow that is not earlier."""
        return joined_flows([flow for flow in (self, later) if flow.item.size] or [later])

    def split(self, until_ns: int) -> "tuple[Flow, Flow]":
        """Return the groups before an instant, and the others."""
        groups = int(np.searchsorted(self.at_ns, until_ns))
        return self.first(groups), self.rest(groups)

    def rest(self, groups: int) -> "Flow":
        """Return the flow without its first groups."""
        return self.after(groups, int(self.end[groups - 1]) if groups else 0)

    def after(self, groups: int, items: int) -> "Flow":
        """Return the flow without its first groups and items; the next group may lose some of its items."""
        return Flow(self.at_ns[groups:], self.end[groups:] - np.int32(items), self.item[items:])

    def counted_from(self, shift: int) -> "Flow":
        """Return the flow with items counted from another first one."""
        return self._replace(item=self.item - np.int32(shift)) if shift else self


def joined_flows(flows: Sequence[Flow]) -> Flow:
    """Return flows one after the other: `end` counts on, the times of each begin anew."""
    if len(flows) == 1:
        return flows[0]
    end, groups, items = concatenated([flow.end for flow in flows]), 0, 0
    for flow in flows:
        end[groups : groups + flow.end.size] += np.int32(items)
        groups, items = groups + flow.end.size, items + flow.item.size
    return Flow(concatenated([flow.at_ns for flow in flows]), end, concatenated([flow.item for flow in flows]))


@kernel
def note_ends(flow: Flow, query_of_item: Indices, later_ns: Integers, ended_ns: Integers, items_left: Indices) -> None:
    """Raise the time at which each query has ended to that of its items, and count down the items that are to come.

    An empty `query_of_item` is one item each; `later_ns` is added to the time of each item, if it is not empty; without
    `items_left` nothing is counted.
    """
    first = 0
    for group in range(flow.at_ns.size):
        at_ns, last = flow.at_ns[group], flow.end[group]
        for place in range(first, last):
            item = flow.item[place]
            query = query_of_item[item] if query_of_item.size else item
            ended_ns[query] = max(ended_ns[query], at_ns + later_ns[item] if later_ns.size else at_ns)
            if items_left.size:
                items_left[query] -= 1
        first = last
