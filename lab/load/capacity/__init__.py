"""The search for the highest rate within bounds."""
