"""The record of a load or a study as text and as JSON; pages are in `html`."""
