"""review: people who look at held answers: who they are, what waits for them, what they made of it.

people   who may review or audit, from a file beside the policy
"""
