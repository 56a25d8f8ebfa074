"The command `softhebb_continual` as a user meets it: fresh processes, a kill, and a model that another command has trained."
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from softhebb_nb.continual import ContinualLearner, TaskSequence
from softhebb_nb.datasets import dataset_settings, load_data
from softhebb_nb.learner import Callback
from softhebb_nb.networks import BlockSpec, build_network, plan_network

ENV = dict(os.environ, OMP_NUM_THREADS='1')
STREAM = ['--preset', '3SoftHebbCnnMNIST', '--classes', '7,2', '0,1', '4,9', '--samples', '60', '--test-samples', '40', '--probe-images', '30', '--quiet']


def command(*args, main='continual.continual_main'):
    module, function = main.split('.')
    return [sys.executable, '-c', f'import sys; from softhebb_nb.{module} import {function}; sys.exit({function}())', *map(str, args)]


def run(*args, **kwargs): return subprocess.run(command(*args, **kwargs), capture_output=True, text=True, env=ENV, timeout=300)
def digest(path): return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    done = run(*STREAM, '--runs-dir', tmp_path_factory.mktemp('runs'), '--seed', 3, '--keep')
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


def test_last_line_is_the_file_of_the_run(undisturbed):
    result = json.loads(undisturbed.read_text())
    assert undisturbed.stem == result['key'] and undisturbed.with_suffix('.png').exists()
    assert [[t['names'], t['n']] for t in result['tasks']] == [[['7', '2'], 60], [['0', '1'], 60], [['4', '9'], 60]]
    assert [r['task'] for r in result['rows']] == [0, 1, 2] and result['seed'] == 3
    assert sorted(p.name for p in undisturbed.with_suffix('').iterdir()) == [f'after-{i}.safetensors' for i in (1, 2, 3)]


def test_the_same_run_is_refused(undisturbed):
    before = undisturbed.read_bytes()
    done = run(*STREAM, '--runs-dir', undisturbed.parent, '--seed', 3)
    assert done.returncode == 2 and 'this very run is finished' in done.stderr and 'Traceback' not in done.stderr
    assert undisturbed.read_bytes() == before


def test_killed_and_started_again_equals_undisturbed(undisturbed, tmp_path):
    process = subprocess.Popen(command(*STREAM, '--runs-dir', tmp_path, '--seed', 3), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not list(tmp_path.glob('*/after-*.safetensors')) and process.poll() is None and time.time() < deadline: time.sleep(.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.glob('*.json')), 'the run was over before it was killed'
    done = run(*STREAM, '--runs-dir', tmp_path, '--seed', 3)
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads(Path(p).read_text()) for p in (done.stdout.strip().splitlines()[-1], undisturbed))
    for row, other in zip(ours['rows'], theirs['rows'], strict=True): assert (row['R'], row['probe']) == (other['R'], other['probe'])
    assert sorted(p.suffix for p in tmp_path.iterdir()) == ['.json', '.png'], 'the checkpoints are gone'


def test_skip_1_gives_what_the_full_run_gave(undisturbed):
    start = undisturbed.with_suffix('')/'after-1.safetensors'
    before = digest(start)
    done = run(*STREAM, '--runs-dir', undisturbed.parent, '--seed', 3, '--start', start, '--skip-1')
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads(Path(p).read_text()) for p in (done.stdout.strip().splitlines()[-1], undisturbed))
    for row, other in zip(ours['rows'], theirs['rows'], strict=True): assert (row['R'], row['probe']) == (other['R'], other['probe'])
    assert ours['config']['skip_1'] == before == digest(start)


def test_starts_from_a_model_of_softhebb_train(tmp_path):
    done = run('--preset', '3SoftHebbCnnMNIST', '--dataset', 'MNIST5k_quick', '--quiet', '--runs-dir', tmp_path, main='cli.train_main')
    assert done.returncode == 0, done.stderr
    model = Path(done.stdout.strip().splitlines()[-1])/'model.safetensors'
    before = digest(model)
    for skip in (['--skip-1'], []):
        done = run(*STREAM[2:], '--runs-dir', tmp_path/'continual', '--start', model, *skip)
        assert done.returncode == 0, done.stderr
        result = json.loads(Path(done.stdout.strip().splitlines()[-1]).read_text())
        assert result['images_seen'] == (120 if skip else 180) and digest(model) == before


def test_ctrl_c_tells_how_to_go_on(tmp_path):
    process = subprocess.Popen(command(*STREAM, '--epochs', 50, '--runs-dir', tmp_path), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a job in the background inherits that Ctrl-C is ignored
    deadline = time.time() + 120
    while not list(tmp_path.glob('*/')) and process.poll() is None and time.time() < deadline: time.sleep(.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and 'give the same command' in err and 'Traceback' not in err


def test_a_stream_that_a_monitor_stops_is_not_finished(tmp_path):
    from softhebb_nb.explore import Monitor

    class Press(Callback):
        "Presses the stop button after 40 images of a task."
        def __init__(self, monitor): self.monitor = monitor
        def after_step(self):
            if self.monitor.deltas.images == 40: self.monitor.stop()

    def callbacks(net):
        monitor = Monitor(net, every=60.)
        return [*monitor.cbs, Press(monitor)]
    blocks = [BlockSpec('soft-c8-t12-lr0.05-r10', 'MLP', 'flatten', 'softmax_5'), BlockSpec('BP-c10', 'MLP')]
    net = build_network(plan_network(blocks, dataset_settings('MNIST5k')), 0)
    stream = TaskSequence.from_classes(load_data(dataset_settings('MNIST5k')), [[0, 1], [2, 3]], samples=60, test_samples=20)
    with pytest.raises(KeyboardInterrupt, match='can be resumed'): ContinualLearner(net, 'ncm', callbacks=callbacks).fit(stream, tmp_path)
    assert not list(tmp_path.glob('*.json'))
