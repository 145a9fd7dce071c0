"""Measure and prevent the loss of safety that role-play fine-tuning causes."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("playsafe")
except PackageNotFoundError:  # a source tree on the path without an installation
    __version__ = "0+source"
