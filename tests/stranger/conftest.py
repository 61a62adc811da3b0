"""The stranger's own tests run where the stranger is installed: see contract/test_stranger.py."""

from importlib.metadata import PackageNotFoundError, distribution

try:
    distribution("encoder-bridge-stranger")
except PackageNotFoundError:
    collect_ignore = ["tests"]
