# Made from the module of this name by tests/make_stubs.py
from contextlib import AbstractContextManager
from typing import Any

__version__: str
