"""The results of several runs, scenario by topology: as a table for people, and for what shows results in CI."""
