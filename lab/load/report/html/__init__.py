"""A load's page, and a study's: one HTML file each, offline and without a script, made from their folder alone."""
