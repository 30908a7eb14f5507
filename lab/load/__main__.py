"""The load coordinator as a process: `python -m lab.load`, see lab.load.job_runner."""

import asyncio
import sys

from lab.load.job_runner import main

sys.exit(asyncio.run(main()))
