"""evidence: what a lane has shown on a workload, from evaluation sets to scores and what they prove.

`sets` reads the samples, `run` asks lanes behind the wall and keeps answers in `results`, `scorers` grade them,
`statistics` says what the grades prove, `ledger` keeps that. `formats` trades sets with other tools.
"""
