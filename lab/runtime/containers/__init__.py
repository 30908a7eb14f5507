"""The runtime `containers`: labs in containers of Docker Engine. `runtime.Containers` is what other packages use."""
