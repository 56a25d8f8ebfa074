"""The CUDA graphs of a Hebbian step, where there is no GPU: what PyTorch calls is recorded and replayed as CUDA would do it.

A recording here is as blind as CUDA's. It keeps the calls and the tensors they were made with, whatever Python decided; what it ran is
undone, and what it made holds NaN until it is replayed; and a value that Python reads is an error. So a step that passes leans on nothing
but tensors that stay where they are. Whether CUDA's libraries can be recorded, only a GPU can tell: chapter 25 tests that where there is one.
"""
import contextlib
import math
import types
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from softhebb_nb import competition, layers as layers_module
from softhebb_nb.datasets import dataset_settings
from softhebb_nb.layers import HebbLinear
from softhebb_nb.learner import DataLoaders, Learner
from softhebb_nb.networks import build_network, get_preset, plan_network
from softhebb_nb.plasticity import Tiles
from softhebb_nb.training import HebbianCB, StepGraph


def tensors(values): return [v for v in values if isinstance(v, torch.Tensor)]


class Recording(TorchDispatchMode):
    "What a `torch.cuda.graph` block does, and its graph's `replay`."
    def __init__(self): super().__init__(); self.calls, self.overwritten = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default: raise RuntimeError('Python read a value while CUDA was recording')
        given = dict(zip((a.name for a in func._schema.arguments), args)) | kwargs
        written = tensors(given.get(a.name) for a in func._schema.arguments if (a.alias_info is not None and a.alias_info.is_write)
                          or a.name.startswith('running_'))  # batch norm writes these and does not say so
        self.overwritten += [(t, t.clone()) for t in written]
        made = func(*args, **kwargs)
        made = tensors(made if isinstance(made, (tuple, list)) else [made])
        own = [t for t in made if t.untyped_storage().data_ptr() not in {g.untyped_storage().data_ptr() for g in tensors([*args, *kwargs.values()])}]
        self.calls.append((func, args, kwargs, own and made))
        return made[0] if len(made) == 1 else tuple(made) if made else None

    def __exit__(self, *error):
        super().__exit__(*error)
        for t, value in reversed(self.overwritten): t.copy_(value)
        for *_, made in self.calls:
            for t in made:
                if t.is_floating_point(): t.fill_(float('nan'))

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, made in self.calls:
            again = func(*args, **kwargs)
            for t, value in zip(made, tensors(again if isinstance(again, (tuple, list)) else [again])): t.copy_(value)


@pytest.fixture
def recorded():
    "PyTorch's CUDA graphs replaced by recordings, and the layers' shortcuts for processors switched off."
    with contextlib.ExitStack() as stack:
        def replace(target, name, value): stack.enter_context(mock.patch.object(target, name, value))
        stream = mock.MagicMock()
        for name in ('Stream', 'current_stream'): replace(torch.cuda, name, lambda: stream)
        replace(torch.cuda, 'stream', contextlib.nullcontext)
        replace(torch.cuda, 'CUDAGraph', Recording)
        replace(torch.cuda, 'graph', lambda graph: graph)
        replace(Tiles, 'fit', staticmethod(lambda *args: False))
        replace(competition, '_winner', lambda u: u.max(1).indices)
        replace(layers_module, 'math', types.SimpleNamespace(**{**vars(math), 'isfinite': lambda value: True}))
        yield


def small_network(preset='3SoftHebbCnnMNIST'):
    blocks = plan_network(get_preset(preset), dataset_settings('MNIST5k', epochs=1, batch_size=10))
    return build_network(blocks, seed=0).learn_only(range(len(blocks) - 1)).part(0, len(blocks) - 1).train()


def state(model): # all that a step changes, statistics included
    learned = {name: t.clone() for name, t in model.named_buffers()}
    for name, m in model.named_modules():
        if isinstance(m, layers_module.HebbLayer): learned[name] = torch.tensor([m.steps]), torch.as_tensor(m.lr)
    return learned


def assert_same(a, b):
    for name, value in state(a).items():
        other = state(b)[name]
        for x, y in zip(*((v if isinstance(v, tuple) else (v,)) for v in (value, other))): torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5, msg=lambda text: f'{name}: {text}')


@pytest.mark.parametrize('preset', ['3SoftHebbCnnMNIST', '2SoftMlpMNIST', '2HardMLPMNIST'])
@torch.no_grad()
def test_replayed_steps_are_steps(recorded, preset):
    plain, replayed = small_network(preset), small_network(preset)
    layers = [[block.layer for block in net.blocks] for net in (plain, replayed)]
    graph = StepGraph(replayed, layers[1], torch.rand(10, 1, 28, 28))
    assert_same(plain, replayed)  # recording changes nothing
    assert graph.out.isnan().all()  # nothing has run yet
    for step in range(5):
        x = torch.rand(10, 1, 28, 28)
        torch.testing.assert_close(graph.forward(x), plain(x), rtol=1e-4, atol=1e-5)
        if step == 2:
            for own in layers: own[0].gain[:7] = .25  # written between the graphs, it counts
        if step == 3:
            for a, b in zip(*layers): torch.testing.assert_close(a.delta, b.delta, rtol=1e-4, atol=1e-6)  # reading it changes no step
        graph.update()
        for layer in layers[0]: layer.update()
        assert_same(plain, replayed)


@torch.no_grad()
def test_learner_records_once_and_steps_as_usual_where_it_cannot(recorded):
    class Recorded(HebbianCB):
        def before_train(self): super().before_train(); self.learn.model.forward = self._forward
        def after_step(self): kinds.append(self.replayed)
    batches, kinds, nets = [(torch.rand(n, 1, 28, 28),) for n in (10, 10, 4, 10)], [], []
    for callback in (HebbianCB(), Recorded()):
        nets.append(small_network())
        with mock.patch.object(StepGraph, 'fits', staticmethod(lambda *args: True)), mock.patch('softhebb_nb.training.StepGraph', wraps=StepGraph) as made:
            made.fits = StepGraph.fits
            Learner(nets[-1], DataLoaders(batches), cbs=[callback]).fit(2)
    assert kinds == [True, True, False, True] * 2 and made.call_count == 1
    assert_same(*nets)


def test_reading_a_value_cannot_be_recorded(recorded):
    model = torch.nn.Sequential(HebbLinear(8, 3)).train()
    forward = model[0].forward
    model[0].forward = lambda x: forward(x) * x.max().item()
    with pytest.raises(RuntimeError, match='read a value'): StepGraph(model, [model[0]], torch.rand(4, 8))


@torch.no_grad()
def test_only_recordable_steps_are_recorded():
    model = small_network()
    layers = [block.layer for block in model.blocks]
    x = mock.Mock(is_cuda=True)
    assert StepGraph.fits(model, layers, x) and not StepGraph.fits(model, layers, torch.rand(2, 1, 28, 28))
    assert not StepGraph.fits(small_network().eval(), layers, x)
    with torch.enable_grad(): assert not StepGraph.fits(model, layers, x)
    hook = model.blocks[1].register_forward_hook(lambda *args: None)
    assert not StepGraph.fits(model, layers, x)
    hook.remove()
    layers[0].watchers.append(print)
    assert not StepGraph.fits(model, layers, x)
    layers[0].watchers.clear()
    layers[1].adaptive, layers[1].decay_steps = False, 100  # a schedule that Python counts
    assert not StepGraph.fits(model, layers, x)
