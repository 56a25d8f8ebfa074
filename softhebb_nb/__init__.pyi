# Made from the module of this name by tests/make_stubs.py
__version__: str
