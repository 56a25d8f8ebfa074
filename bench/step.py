"""One learning step of the CIFAR-10 network (96-384-1536, batch 10) against plain convolutions and against a naive form.

    python bench/step.py [--precision bfloat16] [--repeat 20]

The forms are measured in one process, in turn, and medians are compared: the ratios hold on a busy machine, too. Since each form
then finds the processor's cache full of the others' numbers, the step is also timed in a process of its own, step after step, as
in a training (`--alone step`), and the naive form likewise. The naive form writes the same equations as one would first write them: the power of the p-norm for any p, a convolution with x
and y exchanged for the Hebbian term, index assignment for the winner, and a learning rate of the shape of the weight. It is timed
twice: in this process, where the library has told the processor to flush denormal numbers to zero and the C library to keep freed
memory, and in a process of its own that does not import the library (`--alone naive`), as one would run it.
"""
import argparse
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

SIZES = ((3, 96, 5, 32, 1., .08), (96, 384, 3, 16, .65, .005), (384, 1536, 3, 8, .25, .01))  # in, out, kernel, image, t_invert, lr


def make_layers(radius):
    from softhebb_nb.layers import HebbConv2d
    return [HebbConv2d(i, o, k, padding=k // 2, t_invert=t, lr=lr, radius=radius).train() for i, o, k, _, t, lr in SIZES]


def naive_step(x, w, rate, k, t_invert, lr, p=2):
    x = F.pad(x, (k // 2,) * 4, 'reflect')
    u = F.conv2d(x, torch.sign(w) * torch.abs(w) ** (p - 1))
    flat = u.transpose(0, 1).reshape(len(w), -1)
    y = -torch.softmax(t_invert * flat, 0)
    winner, at = flat.argmax(0), torch.arange(flat.shape[1])
    y[winner, at] = -y[winner, at]
    y = y.view(len(w), len(x), *u.shape[2:]).transpose(0, 1)
    yx = F.conv2d(x.transpose(0, 1), y.transpose(0, 1)).transpose(0, 1)
    delta = yx - (y * u).sum((0, 2, 3)).view(-1, 1, 1, 1) * w
    delta = delta / (delta.abs().amax() + 1e-30)
    w += rate * delta
    norm = torch.linalg.norm(w.flatten(1), ord=p, dim=1)
    rate[:] = (lr * ((norm - 1).abs() + 1e-10).sqrt())[:, None, None, None].expand_as(w)


def interleave(forms, repeat):
    "Median milliseconds of each function, run in turn."
    times = {name: [] for name in forms}
    for round_ in range(repeat + 3):
        for name, f in forms.items():
            start = time.perf_counter()
            f()
            if round_ >= 3: times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(t) for name, t in times.items()}


def naive_form(batch):
    inputs = [torch.randn(batch, i, s, s) for i, _, _, s, _, _ in SIZES]
    weights = [25 / (i * k * k)**.5 * torch.randn(o, i, k, k) for i, o, k, *_ in SIZES]
    rates = [torch.full_like(w, lr) for w, (*_, lr) in zip(weights, SIZES)]

    def run():
        for x, w, r, (_, _, k, _, t, lr) in zip(inputs, weights, rates, SIZES): naive_step(x, w, r, k, t, lr)
    return run


def library_forms(batch):
    from softhebb_nb.layers import set_precision
    inputs = [torch.randn(batch, i, s, s).contiguous(memory_format=torch.channels_last) for i, _, _, s, _, _ in SIZES]
    plain = [torch.nn.Conv2d(i, o, k, padding=k // 2, bias=False) for i, o, k, *_ in SIZES]
    layers = {name: make_layers(radius) for name, radius in (('step, radius 25', 25.), ('step, radius 1', 1.), ('step, bfloat16', 25.))}
    for layer in layers['step, bfloat16']: set_precision(layer, 'bfloat16')

    def convolutions(xs): return lambda: [conv(x) for conv, x in zip(plain, xs)]

    def step(name):
        def run():
            for layer, x in zip(layers[name], inputs):
                layer(x)
                layer.update()
        return run
    return {'three convolutions': convolutions([x.contiguous() for x in inputs]), 'three convolutions, channels last': convolutions(inputs),
            **{name: step(name) for name in layers}}


@torch.no_grad()
def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--repeat', type=int, default=20)
    p.add_argument('--batch', type=int, default=10)
    p.add_argument('--alone', choices=['naive', 'step'], help='time this form alone in this process; the naive one without importing the library')
    args = p.parse_args()
    torch.manual_seed(0)
    if args.alone == 'naive': return print(interleave({'naive': naive_form(args.batch)}, args.repeat)['naive'])
    from softhebb_nb.core import keep_memory, peak_memory
    if args.alone == 'step':
        keep_memory()  # as every Hebbian training does
        return print(interleave({'step': library_forms(args.batch)['step, radius 25']}, args.repeat)['step'])

    def alone(form):
        command = [sys.executable, __file__, '--alone', form, '--repeat', str(args.repeat), '--batch', str(args.batch)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    own = {form: [] for form in ('naive', 'step')}
    for _ in range(3):
        for form, times in own.items(): times.append(alone(form))
    from softhebb_nb.layers import has_bfloat16
    keep_memory()
    ms = interleave({**library_forms(args.batch), 'naive step, in this process': naive_form(args.batch)}, args.repeat)
    ms |= {f'{form} alone, median of three processes': statistics.median(times) for form, times in own.items()}
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, bfloat16 units: {has_bfloat16(torch.device("cpu"))}, batch {args.batch}')
    for name, t in ms.items(): print(f'{name:40}{t:9.1f} ms')
    step, base = ms['step, radius 25'], min(ms['three convolutions'], ms['three convolutions, channels last'])
    print(f'step / convolutions (the faster layout)   {step / base:6.2f}   wanted: at most 3.0')
    ratios = [n / t for n, t in zip(own['naive'], own['step'])]
    print(f'naive / step, each alone, three pairs     {statistics.median(ratios):6.2f}   ({min(ratios):.2f} to {max(ratios):.2f}) wanted: at least 5')
    print(f'naive, this process / step                {ms["naive step, in this process"] / step:6.2f}')
    print(f'radius 25 / radius 1                      {step / ms["step, radius 1"]:6.2f}   wanted: about 1')
    print(f'float32 / bfloat16 operands               {step / ms["step, bfloat16"]:6.2f}   wanted: at least 1.7 where the processor has units for it')
    print(f'peak memory                               {peak_memory() / 2**20:6.0f} MiB')


if __name__ == '__main__': main()
