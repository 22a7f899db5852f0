"""evidence: what a lane has shown on a workload, from evaluation sets to scores and what they prove.

`sets` reads the samples, `scorers` grade answers, `statistics` says what the grades prove, `formats` trades
sets with other tools. Nothing here calls a lane or knows the policy.
"""
