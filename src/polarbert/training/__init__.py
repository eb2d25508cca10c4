"""Batches, optimizer, checkpoints, the loop and its tasks. Needs the extra `[train]`."""
