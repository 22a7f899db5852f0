"""proof: what holds of a policy for every request and every outage.

space     the finite request space that a policy can tell apart
oracle    is there a request such that ...? by exact enumeration, or by z3
reach     which lanes a request may reach, and by which rule, as formulas over the space
verify    the properties, one by one; findings with a smallest request that shows each
second    a second proof by another method, and its word on a certificate of the first
"""
