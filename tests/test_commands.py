"""Every command of the reference's README, as a dry run, against plans computed here from the reference's numbers.

`commands.txt` holds the 99 commands, `presets.json` the numbers. What a plan must say is worked out from these two
alone: nothing of the library takes part in it.
"""
import json
import math
import re
import shlex
from pathlib import Path

import pytest

from softhebb_nb import cli

HERE = Path(__file__).resolve().parent
COMMANDS = (HERE/'commands.txt').read_text().splitlines()
FACTS = json.loads((HERE/'presets.json').read_text())
MAIN = {'multi_layer.py': 'train_main', 'ray_search.py': 'search_main', 'post_hoc_loss.py': 'post_hoc_main'}

# Presets that the README names and the reference lacks: what this library takes them to be
OURS = {
    'SoftKrotovCnnCIFAR': FACTS['model']['4SoftHebbCnnCIFAR'],
    '2HebbCnn': FACTS['model']['2SoftHebbCnnCIFAR'],
    '2HardMLPMNIST': [['hard-c2000-t12-lr0.045-r35-v1', *FACTS['model']['2SoftMlpMNIST'][0][1:]], FACTS['model']['2SoftMlpMNIST'][1]],
    '5HardCnnSTL': [[f'hard-c{96*4**i}-k{5 if i == 0 else 3}-p{2 if i == 0 else 1}-s1-d1-b0-lr0.05', 'CNN', 'batchnorm2d', 'triangle', pool, 0.]
                    for i, pool in enumerate(('avg_4_2_1', 'max_4_2_1', 'avg_4_2_1', 'avg_2_2_0'))] + [FACTS['model']['5SoftHebbCnnSTL'][-1]],
}


# The plan, from the reference's numbers

def layer_numbers(text, arch):
    "What a layer string says, by the reference's names, over its defaults."
    rule, *parts = text.split('-')
    keys = dict(c='out_channels', k='kernel_size', p='padding', s='stride', d='dilation', g='groups', t='t_invert', lr='lr', ls='lr_sup',
                lb='lebesgue_p', lp='power_lr', a='delta', r='radius', v='adaptive', b='add_bias', e='pre_triangle', m='mask_thsd')
    numbers = dict(FACTS['layer'][arch], rule=rule)
    for part in parts:
        key, value = re.fullmatch(r'([a-z]+)(.*)', part).groups()
        numbers[keys[key]] = float(value)
    return numbers


def data_settings(key):
    name, _, variant = key.partition('_')
    return {**FACTS['dataset']['default'], **FACTS['dataset'][name]['default'], **FACTS['dataset'][name].get(variant or 'default', {})} if (name, variant) != ('MNIST', '100') \
        else {**FACTS['dataset']['default'], **FACTS['dataset']['MNIST']['default'], 'nb_epoch': 100}  # the README uses it, the reference lacks it


def expected_blocks(preset, data):
    "(rule, inputs, neurons, output shape, distribution, scale, lr, power, inverse temperature, activation, pool) of each block."
    channels, height, width = data['channels'], data['height'], data['width']
    blocks = FACTS['model'].get(preset) or OURS[preset]
    for i, (text, arch, operation, activation, pool, _) in enumerate(blocks):
        n, bp = layer_numbers(text, arch), text.startswith('BP')
        out = data['out_channels'] if bp and i == len(blocks) - 1 else int(n['out_channels'])
        inputs, fan_in, shape = channels, channels, [out]
        if 'flatten' in operation: inputs = fan_in = channels * height * width
        if arch == 'CNN':
            k = int(n['kernel_size'])
            fan_in = channels / n['groups'] * k**2
            height, width = (int((side + 2*n['padding'] - n['dilation']*(k - 1) - 1) / n['stride']) + 1 for side in (height, width))
            if pool:
                size, stride, padding = map(int, pool.split('_')[1:])
                height, width = ((side + 2*padding - size)//stride + 1 for side in (height, width))
            shape = [out, height, width]
        assert n['lebesgue_p'] == 2
        init = None if bp else 'normal' if 'batchnorm' in operation else 'positive'
        scale = None if bp else math.sqrt(n['radius']**2 / fan_in * (1 if init == 'normal' else 3))
        yield ('bp' if bp else n['rule'], inputs, out, shape, init, scale, n['lr_sup'] if bp else n['lr'],
               None if bp else n['power_lr'], None if bp else n['t_invert'], activation, pool)
        channels = out


def expected_phases(preset, unsup, sup, mode, chosen):
    "(mode, blocks, epochs, batch size, lr) of each phase."
    blocks = FACTS['model'].get(preset) or OURS[preset]
    layers = {i: layer_numbers(text, arch) for i, (text, arch, *_) in enumerate(blocks)}
    chosen = list(layers) if chosen is None else chosen
    hebbian = [i for i in chosen if not blocks[i][0].startswith('BP')]
    backprop = [i for i in chosen if i not in hebbian]
    def phase(kind, ids):
        data, key = (unsup, 'lr') if kind == 'unsupervised' else (sup, 'lr_sup')
        return kind, ids, data['nb_epoch'], data['batch_size'], min(layers[i][key] for i in (ids if kind != 'hybrid' else backprop))
    if mode == 'successive': return [phase('unsupervised' if i in hebbian else 'supervised', [i]) for i in chosen]
    if mode == 'consecutive': return [phase(kind, ids) for kind, ids in (('unsupervised', hebbian), ('supervised', backprop)) if ids]
    return [phase('hybrid', chosen)]


def trial_settings(config):
    "What the trials of a named search replace, in any order."
    seeds = lambda n: [{'dataset_unsup': {'seed': s}} for s in range(n)]
    if config == 'one_seed': return seeds(1)
    if config == 'radius': return [{'b0': {'layer': {'radius': 1.25**(x - 10)}}, **seed} for x in range(27) for seed in seeds(3)]
    if config == 'regimes':
        return [{**{f'b{i}': {'layer': {'t_invert': 1.25**(x - 50), 'softness': rule}} for i in range(3)}, **seed}
                for rule in ('soft', 'softkrotov') for x in range(100) for seed in seeds(3)]
    return seeds(4)


# The tests

def flags(argv):
    "Flags and values of a command, for the reference's flags."
    found = {}
    for word in argv:
        if word.startswith('--'): name = word[2:]; found[name] = []
        else: found[name].append(word)
    return found


def dry_run(command, capsys):
    script, *argv = shlex.split(command)
    status = getattr(cli, MAIN[script])([*argv, '--dry-run'])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def close(a, b): return a == b or (isinstance(a, (int, float)) and isinstance(b, (int, float)) and math.isclose(a, b, rel_tol=1e-9))
def same(a, b): return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
def by_content(trial): return json.dumps({k: trial[k] for k in sorted(trial)}, sort_keys=True)


def test_all_commands_are_here():
    assert len(COMMANDS) == 99 and sum('--help' in c for c in COMMANDS) == 3


@pytest.mark.parametrize('command', [c for c in COMMANDS if '--help' not in c])
def test_command(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan, (script, *argv) = dry_run(command, capsys), shlex.split(command)
    given = flags(argv)
    def value(name, default): return given.get(name, [default])[0]
    both = value('dataset', 'MNIST')
    preset, unsup_key, sup_key = value('preset', None), value('dataset-unsup', both), value('dataset-sup', both)
    unsup, sup = data_settings(unsup_key), data_settings(sup_key)
    assert (plan['dataset_unsup'], plan['dataset_sup']) == (unsup_key, sup_key)

    fields = 'rule in_channels out_channels out_shape init init_scale lr power_lr t_invert activation pool'.split()
    wanted = list(expected_blocks(preset, sup))
    assert [b['id'] for b in plan['blocks']] == list(range(len(wanted)))
    for block, numbers in zip(plan['blocks'], wanted):
        assert same([block[f] for f in fields], numbers), dict(zip(fields, zip([block[f] for f in fields], numbers)))

    mode = value('training-mode', value('train', 'successive'))
    chosen = [int(i) for i in given['training-blocks']] if 'training-blocks' in given else None
    got = [(p['mode'], p['blocks'], p['epochs'], p['batch_size'], p['lr']) for p in plan['phases']]
    if script == 'post_hoc_loss.py':  # the Hebbian block, the classifier, and the block once more
        first, second = expected_phases(preset, unsup, sup, 'successive', None)
        assert [p[1:4] for p in got] == [first[1:4], second[1:4], first[1:4]] and got[1] == second
    else: assert all(same(p, q) for p, q in zip(got, expected_phases(preset, unsup, sup, mode, chosen), strict=True))

    if script == 'ray_search.py':
        trials, expected = [t['overrides'] for t in plan['trials']], trial_settings(value('config', 'seed'))
        assert sorted(map(by_content, trials)) == sorted(map(by_content, expected))
    assert not list(tmp_path.iterdir()), 'a dry run leaves nothing behind'


@pytest.mark.parametrize('command', [c for c in COMMANDS if '--help' in c])
def test_help(command, capsys):
    script, flag = shlex.split(command)
    with pytest.raises(SystemExit) as stopped: getattr(cli, MAIN[script])([flag])
    assert stopped.value.code == 0 and '--dataset-unsup' in capsys.readouterr().out


def test_the_check_would_notice(capsys):
    "The plans of other presets and data differ from what is expected of one."
    plan = dry_run('multi_layer.py --preset 3SoftHebbCnnCIFAR --dataset CIFAR100_1', capsys)
    wanted = list(expected_blocks('4SoftHebbCnnCIFAR', data_settings('CIFAR10_50')))
    assert not same([plan['blocks'][1][f] for f in ('t_invert', 'pool')], wanted[2][8:11:2])
    assert plan['blocks'][-1]['out_channels'] != wanted[-1][2]
