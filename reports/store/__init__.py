"""Results that are kept: one row an evaluation, by what it was made from, in a file that survives anything."""

from reports.store.store import Store, StoreError

__all__ = ["Store", "StoreError"]
