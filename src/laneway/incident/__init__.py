"""incident: what is on record of a stretch of time, in one file that whoever gets it can verify alone.

box       the file: a zip that is written in one way, sealed, and read with bounds, as it may be hostile
form      what is in it: the manifest and the records
told      the records folded, and told to people
bundle    a log in, the file out
verify    the file in, what holds and what cannot be known out; needs no log, no policy and no network
"""
