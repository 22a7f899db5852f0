"""repair: changes to a policy's text that mend what `check` found, each proved before it is offered.

edits        text edits with their places, over the tree of nodes
candidates   what may mend a finding, by its code
mended       which of them do: applied, read and proved again
"""
