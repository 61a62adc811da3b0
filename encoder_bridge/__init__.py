"""encoder-bridge: a daemon that turns a request for a plastic card into a verified card and an honest report."""

from importlib.metadata import version

__version__ = version("encoder-bridge")
