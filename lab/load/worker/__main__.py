"""A load worker as a process: `python -m lab.load.worker`, see lab.load.worker.process."""

import sys

import uvloop

from lab.load.worker.process import main

sys.exit(uvloop.run(main()))
