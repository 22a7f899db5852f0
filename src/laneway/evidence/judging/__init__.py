"""judging: grades and preferences by a judge, a lane that counts only as far as people agree with it.

It is pure of transport: whoever asks a lane is handed in as an `Ask`.
"""
