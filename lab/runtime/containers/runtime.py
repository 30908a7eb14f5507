"""The runtime `containers`: one container a server, one for the lab's services, on an internal network of the lab's own.

Rules:
- a network that could be created is the claim on its addresses;
- everything of a lab carries its label, so a lab is ended by label: containers first, then the network; what an
  interrupted call still makes is looked for again until nothing is left;
- the services answer before the first server is started, or its first question would fail and be remembered.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import LabError, MissingError, NotReady, PeerError, TimedOut
from lab.plan.layout import Layout
from lab.plan.model import Ground, Plan, ServerPlan
from lab.runtime.containers import agents, engine as eng, provision, specs, subnets, terminal
from lab.runtime.containers.engine import Engine
from lab.runtime.protocol import SERVER_UID, Claim, Finding, Pipes, Progress, ServerState
from lab.runtime.reaper import Leash
from lab.servers.software import Operation
from lab.topology.spec import Server
