"""Tables and charts in one HTML page that needs nothing else."""

from polarbert.report.behaviour import write_behaviour_report
from polarbert.report.evaluation import write_report

__all__ = ["write_behaviour_report", "write_report"]
