"The attacks of the library against those of the Adversarial Robustness Toolbox, where it is installed (pip install 'softhebb_nb[attacks]')."
import pytest
import torch
from torch import nn

from softhebb_nb.evaluation import ATTACKS, fgsm, pgd, robustness, toolbox_attack
from softhebb_nb.datasets import Images

pytest.importorskip('art', reason='the Adversarial Robustness Toolbox is not installed')


@pytest.fixture(scope='module')
def trained():
    "A small network that tells four noisy patterns apart, and 200 images of them."
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(4, 1, 8, 8, generator=generator)
    y = torch.arange(200) % 4
    x = (.5*patterns[y] + .25 + .1*torch.randn(200, 1, 8, 8, generator=generator)).clamp(0, 1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
    opt = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(100):
        opt.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
    return model.eval(), x, y


def right(model, x, y): return (model(x).argmax(1) == y).float().mean().item()


@pytest.mark.parametrize('norm, epsilon', [('inf', .03), (2, .5)])
def test_fgsm_is_the_same(trained, norm, epsilon):
    model, x, y = trained
    theirs = toolbox_attack('FastGradientMethod', norm=norm)(model, x, y, epsilon)
    torch.testing.assert_close(fgsm(model, x, y, epsilon, norm=norm), theirs, atol=1e-5, rtol=0)


def test_pgd_is_as_strong(trained):
    model, x, y = trained
    for epsilon in (.03, .06, .1):
        ours = right(model, pgd(model, x, y, epsilon, steps=20), y)
        theirs = right(model, toolbox_attack('ProjectedGradientDescent', eps_step=epsilon/8, max_iter=20, num_random_init=1, verbose=False)(model, x, y, epsilon), y)
        assert abs(ours - theirs) <= .03, (epsilon, ours, theirs)


def test_the_toolbox_in_the_table(trained, monkeypatch):
    model, x, y = trained
    attack = toolbox_attack('SquareAttack', max_iter=50, verbose=False)
    changed = attack(model, x, y, .1)
    assert (changed - x).abs().max() <= .1 + 1e-6 and 0 <= changed.min() and changed.max() <= 1
    monkeypatch.setitem(ATTACKS, 'square', attack)
    table = robustness(model, Images((255*x).to(torch.uint8), y, list('abcd')), {'square': (.02, .3), 'pgd': (.3,)})
    assert table.accuracy[1] < table.accuracy[0] and list(table.attack) == ['square', 'square', 'pgd']


def test_unknown_attack():
    with pytest.raises(ValueError, match="did you mean 'SquareAttack'"): toolbox_attack('SquareAtack')
