"The commands as a user meets them: fresh processes, kills, and bad input."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from softhebb_nb.learner import Callback
from softhebb_nb.runs import Run

ENV = dict(os.environ, OMP_NUM_THREADS='1')
QUICK = ['--preset', '3SoftHebbCnnMNIST', '--dataset', 'MNIST5k_quick', '--quiet']


def command(*args, **kwargs):
    return [sys.executable, '-c', 'import sys; from softhebb_nb.cli import train_main; sys.exit(train_main())', *map(str, args)]


def train(*args):
    return subprocess.run(command(*args), capture_output=True, text=True, env=ENV, timeout=300)


def weights(folder):
    from safetensors.torch import load_file
    return load_file(Path(folder)/'model.safetensors')


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp('runs')
    done = train(*QUICK, '--runs-dir', root, '--seed', 3)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


def test_last_line_is_the_run_folder(undisturbed):
    assert undisturbed.is_dir() and undisturbed.name == '3SoftHebbCnnMNIST'
    assert {p.name for p in undisturbed.iterdir()} == {'config.json', 'checkpoint.safetensors', 'model.safetensors', 'log.json',
                                                       'result.json', 'kernels.png', 'curves.png'}
    result = json.loads((undisturbed/'result.json').read_text())
    assert 0 < result['test_accuracy'] <= 1 and result['seed'] == 3 and len(result['phases']) == 3
    assert all(p['seconds'] > 0 and p['images_per_second'] > 0 for p in result['phases'])


@pytest.mark.parametrize('moment', ['first', 'later', 'last'])
def test_killed_and_resumed_equals_undisturbed(undisturbed, tmp_path, moment):
    "SIGKILL before the first checkpoint, after it, and in the last phase; then --resume all."
    process = subprocess.Popen(command(*QUICK, '--runs-dir', tmp_path, '--seed', 3), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder, deadline = tmp_path/'3SoftHebbCnnMNIST', time.time() + 120

    def reached():
        if moment == 'first': return (folder/'config.json').exists()
        log = folder/'log.json'
        return log.exists() and len(json.loads(log.read_text())) >= (1 if moment == 'later' else 2)
    while not reached() and process.poll() is None and time.time() < deadline: time.sleep(.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert folder.exists() and not (folder/'result.json').exists(), 'the run was over before it was killed'
    done = train(*QUICK, '--runs-dir', tmp_path, '--seed', 3, '--resume', 'all')
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ['3SoftHebbCnnMNIST'], 'it went on in the same folder'
    expected, got = weights(undisturbed), weights(folder)
    assert expected.keys() == got.keys()
    for name in expected: assert torch.equal(expected[name], got[name]), name
    assert [len(e['rows']) for e in json.loads((folder/'log.json').read_text())] == [3, 3, 3]


def test_a_run_never_writes_into_another(undisturbed):
    before = {p.name: p.read_bytes() for p in undisturbed.iterdir()}
    for resume in ('all', 'without_classifier'):
        done = train(*QUICK, '--runs-dir', undisturbed.parent, '--seed', 3, '--resume', resume, '--training-blocks', 2)
        assert done.returncode == 0, done.stderr
        other = Path(done.stdout.strip().splitlines()[-1])
        assert other != undisturbed
        assert torch.equal(weights(other)['blocks.0.layer.weight'], weights(undisturbed)['blocks.0.layer.weight'])
    assert {p.name: p.read_bytes() for p in undisturbed.iterdir()} == before


def test_blocks_saved_singly_start_another_network(undisturbed, tmp_path):
    saved = train(*QUICK, '--runs-dir', tmp_path, '--seed', 3, '--training-blocks', 0, '--save-blocks')
    assert saved.returncode == 0, saved.stderr
    first = Path(saved.stdout.strip().splitlines()[-1])
    assert sorted(p.name for p in (first/'blocks').iterdir()) == [f'{i}.safetensors' for i in range(3)]
    other = train(*QUICK, '--runs-dir', tmp_path, '--seed', 4, '--training-blocks', 2, '--load-block', f'0={first}/blocks/0.safetensors')
    assert other.returncode == 0, other.stderr
    there, here = weights(first), weights(other.stdout.strip().splitlines()[-1])
    for name in there:
        if name.startswith('blocks.0.') or name.endswith('weight'): assert torch.equal(there[name], here[name]) == name.startswith('blocks.0.'), name
    for flag, message in ((f'1={first}/blocks/0.safetensors', "the block there has activation 'triangle_0.7', and block 1 here 'triangle_1'"), (f'7={first}/blocks/0.safetensors', 'there is no block 7'),
                          (f'0={first}/model.safetensors', 'does not hold a single block'), ('nothing', 'give the number of the block and its file')):
        wrong = train(*QUICK, '--runs-dir', tmp_path, '--load-block', flag)
        assert wrong.returncode == 2 and message in wrong.stderr, wrong.stderr
    assert len(list(tmp_path.iterdir())) == 2, 'nothing was begun'


def test_resuming_another_configuration_is_refused(tmp_path):
    from softhebb_nb.runs import Run
    Run.create(tmp_path, '3SoftHebbCnnMNIST', {'seed': 1})
    done = train(*QUICK, '--runs-dir', tmp_path, '--seed', 3, '--resume', 'all')
    assert done.returncode == 2 and 'was started with' in done.stderr and 'Traceback' not in done.stderr


def test_broken_checkpoint_is_named(undisturbed, tmp_path):
    import shutil
    folder = tmp_path/undisturbed.name
    shutil.copytree(undisturbed, folder)
    (folder/'result.json').unlink()
    whole = (folder/'checkpoint.safetensors').read_bytes()
    for content in (whole[:-100], b'a pickle of somebody else'):
        (folder/'checkpoint.safetensors').write_bytes(content)
        done = train(*QUICK, '--runs-dir', tmp_path, '--seed', 3, '--resume', 'all')
        assert done.returncode == 2 and 'checkpoint.safetensors' in done.stderr and 'cut off' in done.stderr
        assert 'Traceback' not in done.stderr


def test_ctrl_c_tells_how_to_go_on(tmp_path):
    process = subprocess.Popen(command(*QUICK, '--runs-dir', tmp_path), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a job in the background inherits that Ctrl-C is ignored
    log, deadline = tmp_path/'3SoftHebbCnnMNIST'/'log.json', time.time() + 120
    while not log.exists() and process.poll() is None and time.time() < deadline: time.sleep(.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and '--resume all' in err and 'Traceback' not in err


@pytest.mark.parametrize('args, message', [
    (['--preset', '4SoftHebCnnCIFAR'], "did you mean '4SoftHebbCnnCIFAR'"),
    (['--dataset-sup', 'CIFAR10_51'], "unknown data set 'CIFAR10_51'"),
    (['--training-mode', 'sucessive'], "did you mean 'successive'"),
    (['--sed', '3'], "unknown option '--sed': did you mean '--seed'"),
    (['--preset', '2SoftMlpMNIST', '--dataset-unsup', 'CIFAR10_1'], 'images of one size'),
    (['--preset', '2SoftMlpMNIST', '--training-blocks', '7'], 'there is no block 7'),
    (['--seed', '9'*20], 'is too large'),
    (['--preset', '2SoftMlpMNIST', '--dataset', 'MNIST5k_quick', '--knn', '5000'], '--knn 5000: there are 300 training images'),
    (['--presets'], 'expected one argument'),
    (['--presets=~/none.json'], f"{Path('~/none.json').expanduser()} cannot be read"),
    (['--preset', '2SoftMlpMNIST', '--load-block', '0=a', '0=b'], '--load-block names block 0 twice'),
    (['--preset', '2SoftMlpMNIST', '--save', 'false', '--save-blocks'], 'with --save false there is none'),
    (['--preset', '2SoftHebbCnnCIFAR', '--dataset-unsup', 'CIFAR10_zca', '--dataset-sup', 'CIFAR10_50'], 'only one is whitened'),
])
def test_bad_flags(args, message, tmp_path, capsys):
    from softhebb_nb.cli import train_main
    assert train_main([*args, '--runs-dir', str(tmp_path/'runs')]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path/'runs').exists()


def test_unreadable_data_folder(tmp_path, capsys, monkeypatch):
    from softhebb_nb.cli import train_main
    for name in ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'):
        (tmp_path/'MNIST'/'raw').mkdir(parents=True, exist_ok=True)
        (tmp_path/'MNIST'/'raw'/name).write_bytes(b'')
    import builtins
    opened = builtins.open

    def refuse(file, *args, **kwargs):  # root may read everything, so the refusal is played
        if 'ubyte' in str(file): raise PermissionError(13, 'Permission denied', str(file))
        return opened(file, *args, **kwargs)
    monkeypatch.setattr(builtins, 'open', refuse)
    assert train_main(['--preset', '2SoftMlpMNIST', '--data-dir', str(tmp_path), '--runs-dir', str(tmp_path/'runs')]) == 2
    assert 'no permission to read' in capsys.readouterr().err


def test_dry_run_prints_one_object(tmp_path):
    done = subprocess.run(command('--preset', '4SoftHebbCnnCIFAR', '--dataset-unsup', 'CIFAR10_1', '--dataset-sup', 'CIFAR10_50', '--dry-run'),
                          capture_output=True, text=True, env=ENV, cwd=tmp_path)
    plan = json.loads(done.stdout)
    assert [b['out_shape'] for b in plan['blocks']] == [[96, 16, 16], [384, 8, 8], [1536, 4, 4], [10]]
    assert plan['blocks'][0]['init'] == 'normal' and abs(plan['blocks'][0]['init_scale'] - 25/75**.5) < 1e-9
    assert [(p['mode'], p['blocks'], p['epochs'], p['batch_size'], p['lr']) for p in plan['phases']] == [
        ('unsupervised', [0], 1, 10, .08), ('unsupervised', [1], 1, 10, .005), ('unsupervised', [2], 1, 10, .01), ('supervised', [3], 50, 64, .001)]
    assert (plan['dataset_unsup'], plan['dataset_sup']) == ('CIFAR10_1', 'CIFAR10_50')
    assert list(tmp_path.iterdir()) == []


SMALL = {'presets': {'Small': [dict(layer='soft-c40-t12-lr0.1-r5-lp0.5', arch='MLP', operation='flatten', activation='softmax_5'), dict(layer='BP-c10', arch='MLP')]}}


@pytest.fixture
def small(tmp_path):
    file = tmp_path/'small.json'
    file.write_text(json.dumps(SMALL))
    return ['--presets', str(file), '--preset', 'Small', '--dataset', 'MNIST5k_quick', '--quiet', '--runs-dir', str(tmp_path/'runs')]


def test_presets_from_a_file_in_all_commands(small, capsys):
    from softhebb_nb import cli
    for main in (cli.train_main, cli.search_main, cli.post_hoc_main):
        assert main([*small, '--dry-run']) == 0
        plan = json.loads(capsys.readouterr().out)
        assert [(b['rule'], b['out_channels'], b['activation']) for b in plan['blocks']] == [('soft', 40, 'softmax_5'), ('bp', 10, None)]
    assert cli.train_main([*small[:3], 'Smal', '--dry-run']) == 2 and "did you mean 'Small'" in capsys.readouterr().err


def test_data_sets_from_a_file_in_all_commands(small, tmp_path, capsys, monkeypatch):
    "A folder of one's own is named on the command line, by a path relative to where the command runs."
    from PIL import Image
    from softhebb_nb import cli
    monkeypatch.chdir(tmp_path)
    for i, part in enumerate(('train', 'test')):
        for j, kind in enumerate(('cat', 'dog')):
            (tmp_path/'pets'/part/kind).mkdir(parents=True)
            for k in range(4): Image.new('RGB', (9, 9), (60*i, 99*j, 20*k)).save(tmp_path/'pets'/part/kind/f'{k}.png')
    file = Path(small[1])
    file.write_text(json.dumps({**SMALL, 'datasets': {'Pets': dict(folder='pets', size=8, variants={'1': dict(epochs=1, batch_size=4)})}}))
    flags = ['--presets', str(file), '--preset', 'Small', '--dataset', 'Pets_1', '--runs-dir', str(tmp_path/'runs')]
    for main in (cli.train_main, cli.search_main, cli.post_hoc_main):
        assert main([*flags, '--dry-run']) == 0
        assert json.loads(capsys.readouterr().out)['dataset_sup'] == 'Pets_1'
    assert cli.train_main([*flags, '--quiet']) == 0
    assert cli.train_main([*flags[:-4], '--dataset', 'Pet_1', '--dry-run']) == 2 and "did you mean 'Pets_1'" in capsys.readouterr().err


def test_images_without_labels_are_refused_before_training(small, tmp_path, capsys):
    from softhebb_nb import cli
    from softhebb_nb.datasets import DATASETS, Images, register_dataset
    x = torch.randint(256, (20, 1, 28, 28), dtype=torch.uint8)
    register_dataset('Bare', lambda folder, split, download: Images(x, torch.full((20,), -1), ['a']), epochs=1)
    try: assert cli.train_main([*small[:4], '--dataset', 'Bare', '--runs-dir', str(tmp_path/'runs')]) == 2
    finally: del DATASETS['Bare']
    assert 'has images without labels' in capsys.readouterr().err and not (tmp_path/'runs').exists()


def test_runs_of_similar_names_are_kept_apart(small, tmp_path, capsys):
    "`mine-2` is not the second `mine`: resuming one never goes on with the other."
    from softhebb_nb import cli
    for name, seed in (('mine-2', '1'), ('mine', '0')): assert cli.train_main([*small, '--model-name', name, '--seed', seed]) == 0
    expected = weights(tmp_path/'runs'/'mine')
    (tmp_path/'runs'/'mine'/'result.json').unlink()
    assert cli.train_main([*small, '--model-name', 'mine', '--resume', 'all']) == 0
    assert Path(capsys.readouterr().out.strip().splitlines()[-1]).name == 'mine'
    for name, t in weights(tmp_path/'runs'/'mine').items(): assert torch.equal(t, expected[name])


def test_a_full_disk_is_named(small, tmp_path, capsys, monkeypatch):
    from softhebb_nb import cli
    def full(handle): raise OSError(28, 'No space left on device')
    monkeypatch.setattr('os.fsync', full)
    assert cli.train_main(small) == 2
    said = capsys.readouterr().err
    assert 'No space left on device' in said and 'config.json was not written' in said and '--resume all' in said
    assert not list((tmp_path/'runs').iterdir())


def test_starting_from_weights_without_saving(small, tmp_path, capsys):
    "--resume all --save false: the weights of the last run, and nothing is written."
    from softhebb_nb import cli
    assert cli.train_main([*small, '--seed', '1']) == 0
    before = sorted(p.name for p in (tmp_path/'runs').rglob('*'))
    results = []
    for more in (['--resume', 'all'], []):
        args = cli.train_parser().parse_args([*small, '--seed', '1', '--save', 'false', '--training-blocks', '1', *more])
        results.append(cli.train_command(args)['neuron_label_accuracy'])
    first = json.loads((tmp_path/'runs'/'Small'/'result.json').read_text())['neuron_label_accuracy']
    assert results[0] == first != results[1]
    assert sorted(p.name for p in (tmp_path/'runs').rglob('*')) == before


def test_post_hoc(small, tmp_path, capsys):
    from softhebb_nb import cli
    for points in ('6', '3'):
        assert cli.post_hoc_main([*small, '--points', points]) == 0
    folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert folder.name == 'Small-post-hoc-2'
    many, few = (json.loads((f/'result.json').read_text()) for f in (folder.with_name('Small-post-hoc'), folder))
    for key in ('post_hoc', 'backprop'):  # 300 images three times; the ends do not depend on the points between
        assert [r[key][i]['images'] for r in (many, few) for i in (0, -1)] == [0, 900, 0, 900]
        assert many[key][0] == few[key][0] and many[key][-1] == few[key][-1] and len(many[key]) > len(few[key])
    assert many['config']['phases'][0] == many['config']['phases'][2] and many['versions']['torch'] == torch.__version__


def test_post_hoc_of_a_trained_model(small, tmp_path, capsys):
    from softhebb_nb import cli
    assert cli.train_main([*small, '--training-mode', 'consecutive', '--model-name', 'mine']) == 0
    assert cli.post_hoc_main([*small, '--model-name', 'mine', '--points', '3']) == 0
    folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert folder.name == 'mine-post-hoc' and torch.equal(weights(folder)['blocks.0.layer.weight'], weights(tmp_path/'runs'/'mine')['blocks.0.layer.weight'])
    trained = json.loads((tmp_path/'runs'/'mine'/'result.json').read_text())
    assert json.loads((folder/'result.json').read_text())['post_hoc'][-1]['accuracy'] == pytest.approx(trained['test_accuracy'])
    assert cli.post_hoc_main([*small, '--model-name', 'mine', '--seed', '5']) == 2
    assert 'was trained with another' in capsys.readouterr().err
    assert cli.post_hoc_main([*small, '--model-name', 'mine', '--dataset-sup', 'MNIST5k_20']) == 2
    assert 'was trained in other phases' in capsys.readouterr().err
    assert cli.train_main([*small, '--training-blocks', '0', '--model-name', 'body']) == 0  # its classifier learned nothing
    assert cli.post_hoc_main([*small, '--model-name', 'body']) == 2
    assert 'was trained in other phases' in capsys.readouterr().err


@pytest.mark.parametrize('args, message', [
    (['--preset', '2CnnCIFAR', '--dataset', 'CIFAR10_1'], 'no Hebbian block'),
    (['--preset', '2SoftMlpMNIST', '--points', 'x'], 'invalid int value'),
    (['--preset', '2SoftMlpMNIST', '--points', '-3'], 'at least 2 is wanted'),
    (['--preset', '2SoftMlpMNIST', '--model-name', 'a/b'], 'cannot hold a slash'),
])
def test_bad_flags_of_post_hoc(args, message, tmp_path, capsys):
    from softhebb_nb.cli import post_hoc_main
    assert post_hoc_main([*args, '--runs-dir', str(tmp_path/'runs')]) == 2
    assert message in capsys.readouterr().err and not (tmp_path/'runs').exists()


@pytest.mark.parametrize('args, message', [
    (['--config', 'regime'], "unknown search 'regime': did you mean 'regimes'"),
    (['--config', 'none.toml'], 'cannot be read'),
    (['--config', '1', '--block', '7'], '--block 7: the network has the blocks 0 to 2'),
    (['--config', '2', '--block', '2'], '--block 2 learns by backprop'),
    (['--config', '1', '--block', '2'], '--block 2 learns by backprop'),
    (['--metric', 'acc'], "unknown metric 'acc'"),
    (['--num-samples', '0'], '0 samples'),
    (['--num-samples', '3'], 'draws nothing at random'),
    (['--config', 'one_seed', '--block', '0'], "the search 'one_seed' varies no block"),
    (['--folder-name', '../x', '--debug'], 'cannot hold a slash'),
    (['--resume', 'all', '--debug'], 'no run'),
])
def test_bad_flags_of_search(args, message, tmp_path, capsys):
    from softhebb_nb.cli import search_main
    assert search_main(['--preset', '3SoftHebbCnnMNIST', '--dataset', 'MNIST5k_quick', *args, '--runs-dir', str(tmp_path/'runs')]) == 2
    assert message in capsys.readouterr().err and not (tmp_path/'runs').exists()


class Break(Callback):
    "Breaks off in an epoch of a phase, as a kill does, after so many phases have begun."
    def __init__(self, phase, epoch): self.phase, self.epoch, self.begun = phase, epoch, -1
    def before_fit(self): self.begun += 1
    def before_train(self):
        if (self.begun, self.learn.epoch) == (self.phase, self.epoch): raise KeyboardInterrupt


def in_process(small, *args, break_at=None):
    from softhebb_nb.cli import make_plan, train_parser, train_plan
    plan = make_plan(train_parser().parse_args([*small, *args]))
    return train_plan(plan, cbs=[Break(*break_at)] if break_at else [])


@pytest.mark.parametrize('how', ['all', 'without_classifier'])
@pytest.mark.parametrize('moment', [(0, 0), (1, 1)])
def test_a_continuation_that_was_killed_goes_on_from_the_weights_it_began_with(small, how, moment):
    for name in ('calm', 'killed'): in_process(small, '--model-name', name)
    _, calm = in_process(small, '--model-name', 'calm', '--resume', how)
    with pytest.raises(KeyboardInterrupt): in_process(small, '--model-name', 'killed', '--resume', how, break_at=moment)
    result, resumed = in_process(small, '--model-name', 'killed', '--resume', 'all')
    assert (calm.folder.name, resumed.folder.name) == ('calm-2', 'killed-2')
    assert len(result['phases']) == 2
    expected, got = weights(calm.folder), weights(resumed.folder)
    for name in expected: assert torch.equal(expected[name], got[name]), name


def test_a_run_is_resumed_with_the_same_images(small):
    with pytest.raises(KeyboardInterrupt): in_process(small, break_at=(1, 1))
    with pytest.raises(ValueError, match='validation_sup = None and not True'): in_process(small, '--resume', 'all', '--validation-sup')


def test_one_process_trains_in_a_folder(small, tmp_path):
    with pytest.raises(KeyboardInterrupt): in_process(small, break_at=(1, 0))
    run = Run(tmp_path/'runs'/'Small')
    (run.folder/'.checkpoint.safetensors.0a1b.tmp').write_bytes(b'half')
    with run.held(), pytest.raises(ValueError, match='another process is training in'): in_process(small, '--resume', 'all')
    in_process(small, '--resume', 'all')
    assert run.finished and not list(run.folder.glob('.*'))


def test_images_without_labels_teach_hebbian_layers(tmp_path, capsys):
    from softhebb_nb.cli import train_main
    from softhebb_nb.datasets import DATASETS, Images, register_dataset
    def load(folder, split, download): return Images(torch.randint(256, (40, 1, 28, 28), dtype=torch.uint8), torch.full((40,), -1), [str(i) for i in range(10)])
    register_dataset('Unlabelled', load, epochs=1, batch_size=10)
    try:
        flags = ['--preset', '3SoftHebbCnnMNIST', '--dataset', 'Unlabelled', '--training-blocks', '0', '1', '--runs-dir', tmp_path, '--quiet']
        assert train_main([*map(str, flags)]) == 0
        assert train_main([*map(str, flags), '--knn', '3']) == 2 and 'has images without labels' in capsys.readouterr().err
    finally: del DATASETS['Unlabelled']


def test_networks_without_a_classifier(tmp_path, capsys):
    from softhebb_nb.cli import train_main
    (tmp_path/'p.json').write_text(json.dumps({'presets': {'OneHebb': [dict(layer='softkrotov-c8-k5-p2-t2', arch='CNN', activation='triangle')]}}))
    flags = ['--presets', tmp_path/'p.json', '--preset', 'OneHebb', '--dataset', 'MNIST5k_quick', '--runs-dir', tmp_path/'runs', '--quiet']
    assert train_main([*map(str, flags), '--knn', '3']) == 0
    assert train_main([*map(str, flags), '--compare']) == 2 and 'is no classifier' in capsys.readouterr().err
