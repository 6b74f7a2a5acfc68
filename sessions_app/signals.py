"""What this app announces."""

from django.dispatch import Signal

session_completed = Signal()
"""Sent with ``session`` inside the transaction that completed it, once, its row locked."""
