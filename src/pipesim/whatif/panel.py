"""A panel for notebooks: load, objectives and replicas as sliders, and what they do to latency, at once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipesim.engine.notebook import simulation_html
from pipesim.errors import PipesimError
from pipesim.markup import card, line
from pipesim.model import Plan, Scenario
from pipesim.planner import Infeasible, OutOfBudget
from pipesim.planner import plan as find_plan
from pipesim.whatif.evaluation import Base, Row, Worker, asked
from pipesim.whatif.metrics import Answer

if TYPE_CHECKING:
    import ipywidgets as widgets

_RANGE = 4
"""How far a slider goes from where it begins: to a quarter and to four times."""


class Explorer:
    """Simulations of one plan under changes of its scenario; what they share is drawn once.

    Parameters
    ----------
    scenario, plan
        Where it begins.
    """

    def __init__(self, scenario: Scenario, plan: Plan) -> None:
        self._worker = Worker(Base(scenario, plan, (), "search", 1))
        scenario.check_plan(plan)

    def answer(self, changes: Mapping[str, Any], replicas: Mapping[str, int]) -> Answer:
        """Return what the plan does with other replicas when the scenario is changed.

        Parameters
        ----------
        changes
            Values by path, as for :func:`~pipesim.whatif.sweep.what_if`.
        replicas
            By stage; stages that are left out stay as they are.

        Raises
        ------
        InvalidInputError
            For a value that is not allowed.
        """
        of_plan = {f"plan.{stage}.replicas": count for stage, count in replicas.items()}
        return self._worker.answer(*asked(self._worker.base, Row("", dict(changes), of_plan)))

    def html(self, changes: Mapping[str, Any], replicas: Mapping[str, int]) -> str:
        """Return the same as a notebook shows it; what is not allowed is said there."""
        try:
            result = self.answer(changes, replicas).simulation
        except PipesimError as error:
            return card("Not possible", [line(str(error))], good=False)
        assert result is not None
        return simulation_html(result)


def explore(scenario: Scenario, plan: Plan | None = None) -> "widgets.VBox":
    """Return a panel for a notebook that moves load, objectives and replicas, and shows what becomes of the plan.

    It takes the extra ``notebook``: ``pip install "pipesim[notebook]"``.

    Parameters
    ----------
    scenario
        Where it begins.
    plan
        What it simulates; without it, one is looked for first, which takes seconds or more.

    Raises
    ------
    PipesimError
        If ipywidgets is not installed, or no plan is given and none is found.
    InvalidInputError
        If the plan does not fit the scenario.
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        raise PipesimError('explore: needs ipywidgets; install it with pip install "pipesim[notebook]"') from None
    if plan is None:
        answer = find_plan(scenario, verified=False)
        if isinstance(answer, Infeasible | OutOfBudget):
            raise PipesimError(f"explore: no plan was found ({answer.status}); give one, or relax the scenario")
        plan = answer.plan
    explorer = Explorer(scenario, plan)
    load = scenario.file.traffic.load or 1.0
    style = {"description_width": "12em"}
    layout = widgets.Layout(width="36em")

    def slider(kind: Any, description: str, value: float, **limits: Any) -> Any:
        return kind(value=value, description=description, continuous_update=False, style=style, layout=layout, **limits)

    def around(description: str, value: float) -> Any:
        return slider(widgets.FloatSlider, description, value, min=value / _RANGE, max=value * _RANGE, step=value / 50)

    moves: dict[str, Any] = {"load": around("load", load)}
    if not isinstance(scenario.file.slo, dict):
        bounds = {f"slo.{number}.bound": slo for number, slo in enumerate(scenario.slos)}
    else:
        bounds = {f"slo.{name}": slo for name, slo in zip(scenario.file.slo, scenario.slos, strict=True)}
    for path, slo in bounds.items():
        moves[path] = around(f"{slo.label} (ms)", slo.bound_ns / 1e6)
    counts = {
        stage: slider(widgets.IntSlider, f"{stage}: replicas", chosen.replicas, min=1, max=_RANGE * chosen.replicas)
        for stage, chosen in plan.stages.items()
    }
    shown = widgets.HTML()

    def update(_: object = None) -> None:
        changes = {
            path: control.value if path == "load" else f"{control.value:.6f}ms"
            for path, control in moves.items()
            if control.value != begun[path]
        }
        shown.value = explorer.html(changes, {stage: control.value for stage, control in counts.items()})

    begun = {path: control.value for path, control in moves.items()}
    for control in (*moves.values(), *counts.values()):
        control.observe(update, names="value")
    update()
    return widgets.VBox([*moves.values(), *counts.values(), shown])
