"""Kills the daemon everywhere and compares what is on the plastic with what the world was told."""
