"""What is asked for: topology files and their errors, shapes, and the graph."""
