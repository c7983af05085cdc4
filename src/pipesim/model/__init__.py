"""What a question is made of: pipeline, profiles, hardware, objective, traffic, search space, plan, scenario.

Everything here is frozen data that has been checked; nothing below it checks again.
"""

from pipesim.model.hardware import Catalogue, Hardware, parse_catalogue
from pipesim.model.loading import load_scenario, scenario_from_dict
from pipesim.model.pipeline import Batching, Dispatch, Edge, EdgeOptions, Pipeline, Size, Stage
from pipesim.model.plan import Plan, StagePlan, read_plan, write_plan
from pipesim.model.profile import Profile, ProfilePoint, ProfileSet, parse_profiles
from pipesim.model.scenario import Scenario, ScenarioFile
from pipesim.model.search import HardwareOption, PreviousPlan, Search, StageSearch, StageSpace
from pipesim.model.slo import Slo

__all__ = [
    "Batching",
    "Catalogue",
    "Dispatch",
    "Edge",
    "EdgeOptions",
    "Hardware",
    "HardwareOption",
    "Pipeline",
    "Plan",
    "PreviousPlan",
    "Profile",
    "ProfilePoint",
    "ProfileSet",
    "Scenario",
    "ScenarioFile",
    "Search",
    "Size",
    "Slo",
    "Stage",
    "StagePlan",
    "StageSearch",
    "StageSpace",
    "load_scenario",
    "parse_catalogue",
    "parse_profiles",
    "read_plan",
    "scenario_from_dict",
    "write_plan",
]
