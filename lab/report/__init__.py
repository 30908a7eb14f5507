"""Readers of a run's folder: verdict, summary, JSON, pictures. None of them starts or asks anything."""

from lab.report.folder import conclude, load
from lab.report.summary import summary, to_json

__all__ = ["conclude", "load", "summary", "to_json"]
