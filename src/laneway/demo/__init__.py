"""The demo: a real small model at home, a stand-in for the premium lane, and a dozen requests.

`model` serves the model in a process of its own, `requests` is what is asked, `play` runs it.
"""
