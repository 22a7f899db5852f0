"""weekly: what the log says of a time: three questions, money, holds, what goes stale, and what to do about it.

tally, scan   records in, counts by slice of time out, in one pass
review        the counts of a period beside those of the one before
money, stale  against always-premium; what will soon count no more
advice, patch what to change, as patches that were checked, tested and replayed
telling       the review as sections, which the terminal, Markdown and the page draw
kept          the counts by hour, kept in memory and in a file that is never trusted against the log
"""
