from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("encserve")
except PackageNotFoundError:  # imported from a source tree that nobody installed
    __version__ = "0+uninstalled"
