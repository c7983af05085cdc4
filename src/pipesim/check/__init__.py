"""Checks: what a change of inputs costs, against a baseline, and whether it may pass.

::

    from pipesim.check.repository import Repository

    report = Repository.of(["scenario.yaml"]).check()   # as pipesim check does
    print(report.verdict, report.scenarios[0].costs)
"""
