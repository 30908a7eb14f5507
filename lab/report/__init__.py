"""Readers of a run's folder: verdict, report in several formats, drawings. None of them starts anything."""
