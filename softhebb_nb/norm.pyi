# Made from the module of this name by tests/make_stubs.py
from typing import Any
from torch import nn
__all__ = ['RunningBatchNorm']

class RunningBatchNorm(nn.Module):
    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    count: Any
    channels: Any
    window: Any
    eps: Any
    def __init__(self, channels: int, window: float = ..., eps: float = ..., affine: bool = ...) -> None: ...
    def forward(self, x) -> Any: ...
    def _renew(self, x) -> Any: ...
    def extra_repr(self) -> Any: ...
