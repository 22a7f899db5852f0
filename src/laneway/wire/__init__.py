"""Wires: one codec for each protocol, between its bytes and the values that every wire shares."""
