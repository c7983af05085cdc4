"""What a method of planning leaves behind."""

from dataclasses import dataclass

import pandas as pd

from pipesim.model import Plan


@dataclass(frozen=True)
class Obstacle:
    """Why there is no plan.

    Parameters
    ----------
    proved
        Whether there is none, or none was found.
    reason
        What stands in the way.
    remedies
        What would have to give, one sentence each.
    """

    proved: bool
    reason: str
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """How much is certain of the plan found.

    Parameters
    ----------
    exchanged
        k: no feasible plan is cheaper that differs from it in up to k stages; 0 if that was not found out.
    excluded
        Whether every cheaper plan of the search space is excluded, by the bound or by simulation.
    """

    exchanged: int = 0
    excluded: bool = False


@dataclass(frozen=True)
class Finding:
    """The plan that a method ends with, if it has one, and how it came to it.

    Parameters
    ----------
    plan
        The plan; methods that go by a rule of thumb return it whether it meets the objectives or not.
    history
        The steps, whatever the method calls so.
    obstacle
        Why there is none.
    complete
        Whether the method ended by itself, not by its budget.
    proof
        What is certain of the plan.
    """

    plan: Plan | None
    history: pd.DataFrame
    obstacle: Obstacle | None = None
    complete: bool = True
    proof: Proof = Proof()
