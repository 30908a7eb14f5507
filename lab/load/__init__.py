"""The load engine: many users on few cores, arrivals that do not wait for answers, delays to the receiver's hands.

Nothing in here imports Locust: loadtests/ do.
"""
