"""Reads of the follow-up tables."""
