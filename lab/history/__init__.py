"""The history of a run: its events, the recorder that writes them, and the reader."""
