"""Ways to find a plan, behind one interface: an evaluator goes in, what was found comes out.

:mod:`~pipesim.planner.methods.search` is pipesim's own, on :mod:`~pipesim.planner.methods.choices` and
:mod:`~pipesim.planner.methods.tree`; :mod:`~pipesim.planner.methods.greedy` is InferLine's,
:mod:`~pipesim.planner.methods.evolution` knows nothing of pipelines, :mod:`~pipesim.planner.methods.exact` tries
everything, and :mod:`~pipesim.planner.methods.coarse` and :mod:`~pipesim.planner.methods.ceiling` do not simulate.
"""
