"Searches on Ray Tune: a worker that is killed, a trial that fails, a search that is interrupted. Without Ray, these tests are skipped."
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch

from softhebb_nb import cli, search

QUICK = ['--preset', '3SoftHebbCnnMNIST', '--dataset', 'MNIST5k_quick', '--folder-name', 'found']
ENV = dict(os.environ, OMP_NUM_THREADS='1')


@pytest.fixture
def ray():
    pytest.importorskip('ray.tune', reason="Ray Tune is not installed: pip install 'softhebb_nb[search]'")
    pytest.importorskip('tensorboardX', reason="tensorboardX is not installed: pip install 'softhebb_nb[search]'")


def test_a_killed_worker_goes_on_and_a_failing_trial_stands_alone(ray, tmp_path):
    "Three trials: one is killed while its second layer learns, one raises an error, one runs through."
    args = cli.search_parser().parse_args([*QUICK, '--save-model'])
    args.cpus = 1
    trials = search.expand_trials({'dataset_unsup': {'seed': {'grid': [0, 1, 2]}}})
    plain = partial(cli._train_trial, args)
    marker, killed, undisturbed = tmp_path/'killed', tmp_path/'search', tmp_path/'undisturbed'

    def train(trial, report):
        if trial['name'] == 'trial-001': raise ValueError('seed 1 is unlucky')
        reports = []

        def then_die(metrics):
            reports.append(metrics)
            if trial['name'] == 'trial-000' and len(reports) == 4 and not marker.exists():
                marker.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            report(metrics)
        return plain(str(killed), None, True, trial, then_die)

    results = search.run_trials(train, trials, killed, quiet=True)
    assert marker.exists() and int(marker.read_text()) != os.getpid(), 'a process of its own was killed'
    assert [r['error'] for r in results] == [None, 'ValueError: seed 1 is unlucky', None]
    assert sorted(p.name for p in killed.glob('trial-*')) == ['trial-000', 'trial-002'], 'it went on in the same folder'
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the worker: sums are rounded in another order with more
    try: metrics = plain(str(undisturbed), None, True, trials[0], lambda m: None)
    finally: torch.set_num_threads(threads)
    for name in ('test_acc', 'test_loss', 'convergence', 'R1'): assert results[0]['metrics'][name] == pytest.approx(metrics[name], rel=1e-4), name
    logs = list((killed/'tensorboard'/'trial-002').glob('events.out.tfevents.*'))
    assert len(logs) == 1 and all(name in logs[0].read_bytes() for name in (b'test_acc', b'convergence', b'train_loss'))
    assert [t['name'] for t in search.unfinished_trials(trials, killed)] == ['trial-001']


def command(*args):
    return [sys.executable, '-c', 'import sys; from softhebb_nb.cli import search_main; sys.exit(search_main())', *map(str, args)]


def test_an_interrupted_search_goes_on(ray, tmp_path):
    args = [*QUICK, '--config', 'seed', '--runs-dir', tmp_path]
    process = subprocess.Popen(command(*args), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    folder, deadline = tmp_path/'search'/'found', time.time() + 300
    while not list(folder.glob('results/*.json')) and process.poll() is None and time.time() < deadline: time.sleep(.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and '--resume all' in err and 'Traceback' not in err, err
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob('results/*.json')}
    assert 0 < len(before) < 4 and not (folder/'trials.csv').exists()
    done = subprocess.run(command(*args, '--resume', 'all'), capture_output=True, text=True, env=ENV, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == str(folder.resolve())
    assert {n: (folder/'results'/n).stat().st_mtime_ns for n in before} == before, 'finished trials are not run again'
    table = [line.split(',') for line in (folder/'trials.csv').read_text().splitlines()]
    assert table[0][:2] == ['trial', 'seed'] and [row[1] for row in table[1:]] == ['0', '1', '2', '3'] and len(list((tmp_path/'search').iterdir())) == 1
    assert not list(folder.rglob('*.safetensors')), 'models are kept only with --save-model'
    summary = (folder/'summary.csv').read_text().splitlines()
    assert len(summary) == 2 and 'test_acc_mean' in summary[0] and 'test_acc_std' in summary[0]


def test_other_flags_are_refused(tmp_path, capsys):
    folder = tmp_path/'search'/'found'
    folder.mkdir(parents=True)
    (folder/'search.json').write_text(json.dumps(dict(preset='another', weights=None)))
    assert cli.search_main([*QUICK, '--runs-dir', str(tmp_path), '--resume', 'all', '--debug']) == 2
    assert 'was started with another preset' in capsys.readouterr().err


def test_without_ray_the_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    monkeypatch.delitem(sys.modules, 'ray.tune', raising=False)
    assert cli.search_main([*QUICK, '--runs-dir', str(tmp_path)]) == 2
    assert "pip install 'softhebb_nb[search]'" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_search_from_a_file_and_from_weights(tmp_path, capsys):
    "In this process (--debug): the values of a file, and the weights of a run, with and without its classifier."
    runs, own = ['--runs-dir', str(tmp_path)], tmp_path/'own.json'
    own.write_text(json.dumps({'b0': {'layer': {'t_invert': 3, 'lr': {'loguniform': [.01, .1]}}}, 'dataset_unsup': {'seed': {'grid': [5, 6]}}}))
    assert cli.search_main([*QUICK, *runs, '--config', str(own), '--num-samples', '3', '--dry-run']) == 0
    trials = json.loads(capsys.readouterr().out)['trials']
    assert len(trials) == 6 and len({t['overrides']['b0']['layer']['lr'] for t in trials}) == 3
    assert cli.search_main([*QUICK, *runs, '--config', str(own), '--debug', '--save-model']) == 0
    folder = tmp_path/'search'/'found'
    config = json.loads((folder/'trial-000'/'config.json').read_text())
    assert config['seed'] == 5 and config['blocks'][0]['t_invert'] == 3 and .01 <= config['blocks'][0]['lr'] <= .1
    assert config['settings_unsup']['training_sample'] == 200 and config['settings_sup']['epochs'] == 1
    from safetensors.torch import load_file
    assert cli.search_main([*QUICK, '--runs-dir', str(folder), '--model-name', 'trial-000', '--resume', 'without_classifier', '--config', 'one_seed',
                            '--training-blocks', '2', '--debug', '--save-model']) == 0
    first, second = (load_file(f/'trial-000'/'model.safetensors') for f in (folder, folder/'search'/'found'))
    assert (first['blocks.0.layer.weight'] == second['blocks.0.layer.weight']).all() and (first['blocks.2.layer.weight'] != second['blocks.2.layer.weight']).any()
