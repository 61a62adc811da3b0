"""The stranger's own tests run where the stranger is installed: see contract/test_stranger.py."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("encoder_bridge_stranger") else ["tests"]
