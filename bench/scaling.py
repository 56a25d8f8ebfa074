"""How the time of unsupervised learning grows with images, width, depth and batch size.

    python bench/scaling.py [--repeat 3] [--png bench/scaling.png]

Every point trains all Hebbian layers at once (mode "consecutive") on random images of 32 by 32 pixels in colour.
"""
import argparse
import time

import torch

from softhebb_nb.core import peak_memory
from softhebb_nb.datasets import DeviceLoader, Images, dataset_settings
from softhebb_nb.learner import DataLoaders, Learner
from softhebb_nb.networks import BlockSpec, build_network, plan_network
from softhebb_nb.training import HebbianCB


def blocks(width, depth):
    "Like the CIFAR-10 presets: four times as many kernels in each further layer."
    kernels = [5] + [3]*(depth - 1)
    return [BlockSpec(f'softkrotov-c{width * 4**i}-k{k}-p{k//2}-t1-lr0.05-lp0.5', 'CNN', 'batchnorm2d', 'triangle_0.7', 'max_4_2_1') for i, k in enumerate(kernels)]


def seconds(images, width, depth, batch_size, repeat):
    "Fastest of `repeat` passes over the images."
    net = build_network(plan_network(blocks(width, depth), dataset_settings('CIFAR10_1')), seed=0)
    data = Images(torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8), torch.arange(images) % 10, [str(i) for i in range(10)])
    learn = Learner(net, DataLoaders(DeviceLoader(data, batch_size)), cbs=[HebbianCB()])
    learn.fit(1)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        learn.fit(1)
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--repeat', type=int, default=2, help='passes over the images, of which the fastest counts')
    p.add_argument('--png', help='file for the figure')
    args = p.parse_args()
    base = dict(images=200, width=24, depth=3, batch_size=10)
    tries = {'images': [100, 200, 400, 800], 'width': [12, 24, 48, 96], 'depth': [1, 2, 3, 4], 'batch_size': [1, 2, 5, 10, 20, 50, 100]}
    labels = {'images': 'images', 'width': 'kernels of the first layer', 'depth': 'Hebbian layers', 'batch_size': 'images a batch'}
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads; milliseconds an image; else {base}')
    found = {}
    for name, values in tries.items():
        found[name] = [1000 * seconds(**{**base, name: v}, repeat=args.repeat) / (v if name == 'images' else base['images']) for v in values]
        print(f'{labels[name]:28}', '  '.join(f'{v}: {ms:.2f}' for v, ms in zip(values, found[name])), flush=True)
    print(f'peak memory {peak_memory() / 2**20:.0f} MiB')
    if not args.png: return
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, axs = plt.subplots(1, 4, figsize=(9, 2.4), layout='constrained', sharey=True)
    for ax, (name, values) in zip(axs, tries.items()):
        ax.plot(values, found[name], 'o-', color='#4477aa')
        ax.set(xscale='linear' if name == 'depth' else 'log', yscale='log', xlabel=labels[name])
        ax.set_xticks(values, values); ax.set_xticks([], minor=True)
        ax.set_yticks([1, 2, 5, 10], [1, 2, 5, 10]); ax.set_yticks([], minor=True)
    axs[0].set_ylabel('milliseconds an image')
    fig.savefig(args.png, dpi=130)


if __name__ == '__main__': main()
