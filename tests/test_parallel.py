"""Two processes that share every batch learn what one process learns from the whole batch."""
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file

from softhebb_nb.datasets import Images, dataset_settings
from softhebb_nb.neuromodulation import Neuromodulator, Signal
from softhebb_nb.networks import BlockSpec, build_network, plan_network
from softhebb_nb.training import compute_features, join_processes, plan_phases, process_count, run_phase

BLOCKS = [BlockSpec('softkrotov-c12-k3-p1-t2-lr0.05', 'CNN', 'batchnorm2d', 'triangle_0.7', 'max_2_2_0'),
          BlockSpec('soft-c16-k3-p1-t2-lr0.05-b1', 'CNN', 'batchnorm2d', 'triangle_0.7', 'max_2_2_0', att_dropout=.2),
          BlockSpec('BP-c10', 'MLP', 'flatten', dropout=.4)]


def images(n=45):
    "45 images in batches of 11: the last batch has one image, which two processes cannot share."
    generator = torch.Generator().manual_seed(1)
    return Images(torch.randint(256, (n, 1, 28, 28), dtype=torch.uint8, generator=generator), torch.arange(n) % 10, [str(i) for i in range(10)])


def one(learn, layer, u, y): return torch.tensor(1.)


def free_port():
    "A port that nobody uses, below those that the system hands out to whoever connects: none of them is taken before it is used."
    while True:
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)): return port


def train(mode):
    data, settings = images(45 if mode == 'successive' else 44), dataset_settings('MNIST5k', epochs=2, batch_size=11, seed=3)
    plans = plan_network(BLOCKS, settings)
    net = build_network(plans, seed=0)
    modulated = [Neuromodulator('all', signal=Signal(one, 'layer', trace=.9), threshold=1.)] if mode == 'traced' else []
    for number, phase in enumerate(plan_phases(plans, settings, settings, 'successive' if mode == 'traced' else mode)):
        learn = run_phase(net, phase, data, data, settings, number, cbs=modulated if phase.mode == 'unsupervised' else [])
    wins = [layer.wins.clone() for layer in net.hebbian_layers().values()]
    return dict(net.state_dict(), accuracy=torch.tensor(learn.history[-1]['valid_accuracy']), loss=torch.tensor(learn.history[-1]['train_loss']), features=compute_features(net.part(0, 2), images()),
                **{f'wins{i}': w for i, w in enumerate(wins)})


def worker(rank, port, folder, mode):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), OMP_NUM_THREADS='1')
    torch.set_num_threads(1)
    join_processes(-1)
    assert process_count() == 2
    torch.save(train(mode), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


@pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason='this PyTorch has no gloo')
@pytest.mark.parametrize('mode', ['successive', 'simultaneous', 'traced'])
def test_two_processes_learn_what_one_does(mode):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(worker, (port, folder, mode), nprocs=2, start_method='spawn')
        one, two = (torch.load(Path(folder)/f'{rank}.pt', weights_only=True) for rank in range(2))
    alone = train(mode)
    for name, value in alone.items():
        assert torch.equal(one[name], two[name]), f'{name} differs between the two processes'
        error = (one[name].double() - value.double()).norm() / value.double().norm().clamp_min(1e-12)
        twice = mode == 'successive' and name.startswith(('wins', 'loss'))  # the last batch of one image is counted in both processes
        assert error < (.05 if twice else 1e-4), f'{name} differs by {error}'
    fresh = build_network(plan_network(BLOCKS, dataset_settings('MNIST5k')), seed=0)
    assert not torch.allclose(alone['blocks.1.layer.weight'], fresh.state_dict()['blocks.1.layer.weight'])


@pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason='this PyTorch has no gloo')
def test_two_killed_processes_go_on_together(tmp_path):
    "torchrun, SIGKILL in the classifier's phase, torchrun with --resume all: the weights of an undisturbed run."
    run = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--master-addr', '127.0.0.1', '--no-python', sys.executable, '-c',
           'import sys; from softhebb_nb.cli import train_main; sys.exit(train_main())', '--preset', '3SoftHebbCnnMNIST', '--dataset', 'MNIST5k_quick', '--quiet', '--gpu-id', '-1']
    env = dict(os.environ, OMP_NUM_THREADS='1')

    def launch(*args):
        return subprocess.Popen([*run[:5], '--master-port', str(free_port()), *run[5:], *map(str, args)], env=env, start_new_session=True,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    whole = launch('--runs-dir', tmp_path/'whole')
    assert whole.wait(240) == 0, whole.stderr.read()
    killed, log = launch('--runs-dir', tmp_path/'killed'), tmp_path/'killed'/'3SoftHebbCnnMNIST'/'log.json'
    deadline = time.time() + 120
    while killed.poll() is None and time.time() < deadline and not (log.exists() and len(json.loads(log.read_text())) > 2): time.sleep(.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (log.parent/'result.json').exists(), 'the run was over before it was killed'
    resumed = launch('--runs-dir', tmp_path/'killed', '--resume', 'all')
    assert resumed.wait(240) == 0, resumed.stderr.read()
    one, two = (load_file(tmp_path/name/'3SoftHebbCnnMNIST'/'model.safetensors') for name in ('whole', 'killed'))
    for name in one: assert torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-6), name
