"""The runtime `containers`. `Containers` is all that others need; importing it does not import the engine's SDK."""

from lab.runtime.containers.runtime import Containers as Containers
