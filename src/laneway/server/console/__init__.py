"""console: pages for reviewers and auditors, on an address of their own beside the endpoint.

frame      an exchange in, a page out: hosts, methods, headers, who is signed in, what they may
signin     sessions: a reviewer's token in, a cookie out
pages      templates and what they are given
chain      how far the log's chain was followed
overview, decisions, queue, week, policies   the pages
"""
