"""The classifier phase at CIFAR-10's sizes: passes of the body, seconds, memory.

    python bench/classifier.py [--images 50000] [--epochs 50] [--share 0.1]

`--share` runs that share of the images and of the epochs' steps and scales the seconds up, for a quick look; 1 runs all of it.
The images are random: the time does not depend on what is in them.
"""
import argparse
import time
from unittest.mock import patch

import torch

from softhebb_nb.core import peak_memory
from softhebb_nb.datasets import Images, dataset_settings
from softhebb_nb.networks import build_network, get_preset, plan_network
from softhebb_nb.training import compute_features, plan_phases, run_phase


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--images', type=int, default=50000)
    p.add_argument('--epochs', type=int, default=50)
    p.add_argument('--share', type=float, default=.04)
    p.add_argument('--preset', default='4SoftHebbCnnCIFAR')
    args = p.parse_args()
    torch.manual_seed(0)
    n = max(640, int(args.images * args.share))
    settings = dataset_settings('CIFAR10_50', epochs=args.epochs, print_freq=args.epochs)
    data = Images(torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8), torch.arange(n) % 10, [str(i) for i in range(10)])
    small = data[torch.arange(100)]
    plans = plan_network(get_preset(args.preset), settings)
    net = build_network(plans, 0)
    phase = plan_phases(plans, settings, settings)[-1]
    passes, forward = [0], type(net.blocks[0]).forward

    def counting(self, x):
        if self is net.blocks[0]: passes[0] += len(x)
        return forward(self, x)

    start = time.perf_counter()
    features = compute_features(net.part(0, len(plans) - 1), data)
    body = time.perf_counter() - start
    del features
    with patch.object(type(net.blocks[0]), 'forward', counting):
        start = time.perf_counter()
        run_phase(net, phase, data, small, settings, device=None)
        whole = time.perf_counter() - start
    scale = args.images / n
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads; {n} of {args.images} images, seconds scaled by {scale:.1f}')
    print(f'one pass of the body          {body * scale:9.1f} s')
    print(f'phase of {args.epochs} epochs            {whole * scale:9.1f} s')
    print(f'phase / pass                  {whole / body:9.2f}     wanted: at most 3')
    print(f'passes of the body in it      {(passes[0] - len(small)) / n:9.2f}     wanted: 1')
    print(f'features                      {args.images * plans[-1].in_channels * 2 / 2**30:9.2f} GiB in half precision for all images')
    print(f'peak memory                   {peak_memory() / 2**30:9.2f} GiB (of this run)')


if __name__ == '__main__': main()
