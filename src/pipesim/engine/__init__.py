"""The simulation: a workload and a plan go in, timestamps and frames come out."""

from pipesim.engine.inputs import EngineInputs, MissLimit, Workload
from pipesim.engine.reference import run_reference
from pipesim.engine.result import QUANTILES, SimulationResult, SloOutcome
from pipesim.engine.run import Run, StageRun, same
from pipesim.engine.simulation import Engine, available_cores, run_engine, simulate, simulate_all, summarise
from pipesim.engine.summary import Summary

__all__ = [
    "QUANTILES",
    "Engine",
    "EngineInputs",
    "MissLimit",
    "Run",
    "SimulationResult",
    "SloOutcome",
    "StageRun",
    "Summary",
    "Workload",
    "available_cores",
    "run_engine",
    "run_reference",
    "same",
    "simulate",
    "simulate_all",
    "summarise",
]
