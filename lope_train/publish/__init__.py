"""Adapters for others: export, the hub, the card."""
