"""Client programs of others, driven in a lab, and what simulated people got from them."""
