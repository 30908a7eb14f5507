"""What a topology means exactly, as data: addresses, names, zones, files, certificates. Pure functions."""
