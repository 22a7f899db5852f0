"""replay: recorded requests decided again under another policy; no lane is called.

recorded   the log's entries in, one value a request out, with as little decoded as deciding again needs
restated   what a client stated, taken back out of recorded signals, and what another policy makes of it
again      one policy's word on recorded requests; what does not depend on a request's length is worked out once
money      what a request cost, and would cost
kind       what is said of requests that are decided alike
totals     what they add up to
run        the requests one by one
shares     which class of `diff` a request that changes belongs to
telling    the totals in words
"""
