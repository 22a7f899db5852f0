"""proof: what holds of a policy for every request and every outage.

space     the finite request space that a policy can tell apart; formulas are sets of requests
oracle    is there a request in a set? by exact enumeration, or by z3
reach     which lanes a request may reach, and by which rule, as formulas
stated    what a client says of a request, and what a policy makes of it
finding   one thing that does not hold, with the smallest request that shows it
safety, liveness, lint   the properties
verify    a policy in, a report out
without   what is lost if a guarantee falls
words     findings for people and for scripts
"""
