"""diff: which requests two policies decide differently.

seen, order   the requests that clients state, with the eyes of one policy; the order of lanes as formulas
compare       the classes of requests that change, and new access
changed       what differs and is not routing
telling       the comparison in words
"""
