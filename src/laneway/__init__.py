"""Laneway: a policy-driven router for language models.

The flow of one request is `gateway.py`; the words are in `docs/glossary.md`.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
