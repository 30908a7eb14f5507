"""Readers of a run's folder: verdict, summary, JSON, pictures. None of them starts or asks anything."""
