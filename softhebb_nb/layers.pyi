# Made from the module of this name by tests/make_stubs.py
from typing import Any
import torch
from torch import nn
__all__ = ['INITS', 'CUSTOM_RULES', 'SUPERVISED_RULE', 'PRECISIONS', 'initial_scale', 'check_sizes', 'register_rule', 'HebbLayer', 'HebbLinear', 'HebbConv2d', 'has_bfloat16', 'set_precision']
INITS: tuple

def initial_scale(init: str, radius: float, fan_in: int, lebesgue_p: float = ...) -> float: ...
_LEAST: Any

def check_sizes(**settings) -> Any: ...
CUSTOM_RULES: dict
SUPERVISED_RULE: str

def register_rule(name: str, plasticity, competition: str = ...) -> Any: ...

def _by_group(plasticity, rows, u, y, weight, groups) -> Any: ...

class HebbLayer(nn.Module):
    tolerance: float
    competition: Any
    triangle: Any
    watchers: Any
    process_group: Any
    precision: Any
    init_scale: Any
    weight: Any
    bias: Any
    gain: Any
    wins: Any
    activity: Any
    supervised: Any
    labels: Any
    competes: Any
    plasticity: Any
    groups: Any
    rule: Any
    lebesgue_p: Any
    t_invert: Any
    base_lr: Any
    power_lr: Any
    adaptive: Any
    lr_decay: Any
    decay_steps: Any
    decay_speed: Any
    decay_divisor: Any
    initial_radius: Any
    init: Any
    nb_train: Any
    _change: Any
    _largest: Any
    _bias_change: Any
    pending: Any
    steps: Any
    lr: Any
    delta: Any
    delta_bias: Any
    def __init__(self, shape: tuple, groups: int = ..., rule: str = ..., bias: bool = ..., lebesgue_p: float = ..., t_invert: float = ..., lr: float = ..., power_lr: float = ..., adaptive: bool = ..., lr_decay: str = ..., decay_steps: int | None = ..., decay_speed: float = ..., decay_divisor: float = ..., delta: float = ..., ranking_param: int = ..., krotov_mode: int = ..., radius: float = ..., init: str = ..., nb_train: int | None = ..., pre_triangle: bool = ...) -> None: ...
    def _apply(self, fn, recurse=...) -> Any: ...
    def extra_repr(self) -> Any: ...
    def reset(self, generator: torch.Generator | None = ...) -> Any: ...
    def reset_statistics(self) -> Any: ...
    def radius(self) -> torch.Tensor: ...
    def convergence(self) -> tuple: ...
    def renew_lr(self) -> Any: ...
    def learn(self, inputs, u: torch.Tensor) -> Any: ...
    def _clamp(self, u) -> Any: ...
    def _sum(self, change) -> Any: ...
    def _count(self, y, winner) -> Any: ...
    def _scaled(self, change) -> Any: ...
    def update(self) -> Any: ...

def _after_load(layer, incompatible) -> Any: ...

def _delta(self) -> Any: ...

class HebbLinear(HebbLayer):
    tolerance: float
    in_features: Any
    out_features: Any
    bias_rate: Any
    def __init__(self, in_features: int, out_features: int, *, rule: str = ..., bias: bool = ..., lebesgue_p: float = ..., t_invert: float = ..., lr: float = ..., power_lr: float = ..., delta: float = ..., radius: float = ..., init: str = ..., decay_speed: float = ..., decay_divisor: float = ..., **kwargs) -> None: ...
    def forward(self, x: torch.Tensor) -> torch.Tensor: ...

class HebbConv2d(HebbLayer):
    reach: Any
    in_channels: Any
    out_channels: Any
    kernel_size: Any
    bias_rate: Any
    stride: Any
    padding: Any
    dilation: Any
    padding_mode: Any
    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, rule: str = ..., stride: int = ..., padding: int = ..., dilation: int = ..., groups: int = ..., padding_mode: str = ..., bias: bool = ..., lebesgue_p: float = ..., t_invert: float = ..., lr: float = ..., power_lr: float = ..., **kwargs) -> None: ...
    def forward(self, x: torch.Tensor) -> torch.Tensor: ...
    def _positions(self, x) -> Any: ...
    def _inputs(self, x) -> Any: ...
    def _check(self, x) -> Any: ...
PRECISIONS: dict

def has_bfloat16(device: torch.device) -> bool: ...

def set_precision(model: nn.Module, precision: str = ...) -> str: ...
