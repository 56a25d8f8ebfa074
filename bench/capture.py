"""What capturing costs: share of the training time, memory, and the size of the file after a long run.

The CIFAR network (96, 384 and 1536 kernels) learns from random images in batches of ten, with `WeightDeltas` and without in turns.
Run it alone on the machine: `python bench/capture.py --turns 20`. Nothing here is asserted.
"""
import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from softhebb_nb.capture import CURVES, STREAMS, WeightDeltas
from softhebb_nb.datasets import DeviceLoader, Images, dataset_settings
from softhebb_nb.layers import HebbLayer, has_bfloat16, set_precision
from softhebb_nb.learner import DataLoaders, Learner
from softhebb_nb.networks import build_network, get_preset, plan_network
from softhebb_nb.training import HebbianCB


def seconds(learn, cbs):
    start = time.perf_counter()
    learn.fit(1, cbs=cbs)
    return time.perf_counter() - start


def overhead(body, images, batch, turns, make):
    "Median seconds of a fit without and with the callbacks that `make` makes, in turns."
    learn = Learner(body, DataLoaders(DeviceLoader(images, batch)), cbs=[HebbianCB()])
    watch = make()
    seconds(learn, [watch])
    times = {False: [], True: []}
    for turn in range(turns):
        for watched in ((False, True) if turn % 2 else (True, False)): times[watched].append(seconds(learn, [watch] if watched else []))
    return statistics.median(times[False]), statistics.median(times[True]), watch


def held(watch):
    "Numbers that the callback holds: in copies of the weights, and beside them for each kernel."
    copies = sum(t.numel() for t in watch._copies.values())
    streams = [t for d in (*vars(watch).values(), *vars(watch._sizes).values()) if isinstance(d, dict)
               for t in d.values() if isinstance(t, torch.Tensor)]
    kernels = sum(len(m.weight) for m in watch.modules.values())
    return copies, sum(len(m.weight.flatten()) for m in watch.modules.values()), (sum(t.numel() for t in streams) - copies) / kernels


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--turns', type=int, default=10, help='fits with and without')
    p.add_argument('--images', type=int, default=400, help='images a fit')
    p.add_argument('--batch', type=int, default=10)
    p.add_argument('--intervals', type=int, default=100_000, help='intervals of the long run')
    args = p.parse_args()
    torch.manual_seed(0)
    settings = dataset_settings('CIFAR10_1')
    body = build_network(plan_network(get_preset('4SoftHebbCnnCIFAR'), settings), seed=0).learn_only([0, 1, 2]).part(0, 3)
    images = Images(torch.randint(256, (args.images, 3, 32, 32), dtype=torch.uint8), torch.zeros(args.images, dtype=torch.long), ['none'])
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, batch {args.batch}, {args.images} images a fit, median of {args.turns}')
    ways = {"every=('images', 100)": dict(), 'without looks into the competition': dict(sample=None), "every=('batch', 1)": dict(every=('batch', 1))}
    for precision in ('float32', 'bfloat16') if has_bfloat16(torch.device('cpu')) else ('float32',):  # emulated, it says nothing
        for layer in body.modules():
            if isinstance(layer, HebbLayer): layer.reset()
        set_precision(body, precision)
        for name, options in ways.items():
            plain, watched, watch = overhead(body, images, args.batch, args.turns, lambda: WeightDeltas(body, **{'every': ('images', 100), **options}))
            note = '   wanted: at most 5 %' if not options else ''
            print(f'{precision:9}{name:36}{1e3*plain/args.images:7.2f} -> {1e3*watched/args.images:5.2f} ms an image   {watched/plain - 1:+6.1%}{note}')
            watch.last = {}
            if not options: copies, weights, numbers = held(watch)
    print(f'memory: {copies/weights:.2f} copies of the tracked weights and {numbers:.2f} numbers a kernel   wanted: at most 1 and 8 (and the curves, by layer)')
    watch = WeightDeltas(body, every=('images', 100), points=256)
    Learner(body, DataLoaders(DeviceLoader(images[:100], args.batch)), cbs=[HebbianCB(), watch]).fit(1)
    rows = {name: torch.rand(len(CURVES)) for name in watch.modules}
    for i in range(args.intervals):  # a day of intervals, as far as what grows with them is concerned
        for name, row in rows.items(): watch._curves[name].add(100.*i, row)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder)/'deltas.safetensors'
        watch.save(file)
        print(f'file: {file.stat().st_size/1e6:.3f} MB after {args.intervals:,} intervals ({len(STREAMS)} streams, {len(watch.curves())} points of curves)   wanted: under 1 MB')


if __name__ == '__main__': main()
