"""people: a policy for those who answer for it, told from its rules alone.

plain         a rule, a condition or a lane in plain words
matrix        what each lane is to each class of data, over all requests
whereabouts   what may leave the EEA, and who takes over when a lane is down
document      a document as data: sections, tables, drawings
assemble      a policy in, its document out
markdown, page   the document drawn
"""
