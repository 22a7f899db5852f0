"""formats: sets of other tools in and out. Each module names its tool's reference page and reads and writes its shape.

Only samples travel. Answers and scores of another tool are never taken over: evidence is what was measured here.
What cannot be carried is said, in notes; nothing is left out in silence.
"""
