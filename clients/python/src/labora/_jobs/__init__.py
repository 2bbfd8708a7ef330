"""The market of jobs: imported when one of its names is first used, since it needs packages that products do not."""

from labora._jobs.blocking import Client, Job
from labora._jobs.client import DEFAULT_URL, AsyncClient
from labora._jobs.facts import (
    Balance,
    Cost,
    Explanation,
    JobStatus,
    Market,
    MinedBlock,
    ProductFacts,
    Progress,
    Stage,
    Window,
)
from labora._jobs.job import AsyncJob
from labora._jobs.keys import Key

__all__ = [
    "DEFAULT_URL",
    "AsyncClient",
    "AsyncJob",
    "Balance",
    "Client",
    "Cost",
    "Explanation",
    "Job",
    "JobStatus",
    "Key",
    "Market",
    "MinedBlock",
    "ProductFacts",
    "Progress",
    "Stage",
    "Window",
]
