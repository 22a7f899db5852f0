"""statistics: scores in, what they prove out: bounds, paired comparisons, sequences and agreement.

Everything here is plain arithmetic on scores, with fixed seeds; it needs the `eval` extra (numpy, scipy).
"""
