"""The data of a load, which all other parts of lab.load import: this package imports none of them."""
