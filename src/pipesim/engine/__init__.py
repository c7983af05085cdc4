"""The simulation: a workload and a plan go in, timestamps and frames come out."""

from pipesim.engine.inputs import EngineInputs, MissLimit, Workload
from pipesim.engine.reference import run_reference
from pipesim.engine.result import QUANTILES, SimulationResult, SloOutcome
from pipesim.engine.run import Run, StageRun, same
from pipesim.engine.simulation import Engine, run_engine, simulate

__all__ = [
    "QUANTILES",
    "Engine",
    "EngineInputs",
    "MissLimit",
    "Run",
    "SimulationResult",
    "SloOutcome",
    "StageRun",
    "Workload",
    "run_engine",
    "run_reference",
    "same",
    "simulate",
]
