"""The load engine: many users on few cores, open-loop arrivals, delays measured up to the receiving client.

The modules of this folder start and run a load and stand above its subfolders, which import downwards only: report,
capacity, analysis, coordinator, worker, workload, metrics, client, model. Only lab.locust imports Locust.
"""
