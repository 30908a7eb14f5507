"""The load engine: many users on few cores, open-loop arrivals, delays measured up to the receiving client.

The modules of this folder start and run a load and stand above its subfolders, which import downwards only: report,
capacity, analysis, coordinator, worker, workload, metrics, client, model. Only lab.locust imports Locust.

From Python, on a lab that is up (lab.lifecycle):

lab.load.load_execution.run_load     a load from its request (lab.load.load_request) to its record
lab.load.capacity.trials             find_limit_on: the highest rate within bounds
lab.load.study_execution.run_study   the same load on several topologies
lab.load.metrics.run_folder.read     the record of a load, from its folder
lab.load.analysis                    judge_load (thresholds), compare (comparison), find_bottleneck (bottleneck)
lab.load.report                      the record as text, JSON and page

Rates are messages per second, delays and lengths are in seconds, in JSON and tables delays are in ms ("_ms").
"""
