"""Tables and charts in one HTML page that needs nothing else."""

from polarbert.report.evaluation import write_report

__all__ = ["write_report"]
