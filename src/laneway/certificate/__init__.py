"""certificate: what was proved of a policy, in a file, and a second proof that settles every line of it anew.

form      the file: strict reading, canonical form, digest
certify   the first proof's result as a certificate
second    the second proof; it shares no code with `laneway.proof`, and needs no z3
kinds, ways, cases, replay   its own view of requests and rules, its splitting of cases, its replay of witnesses
"""
