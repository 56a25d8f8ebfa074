#!/usr/bin/env python3
"""Runs every notebook under nbs/, each in a process of its own, and shows every cell that fails.

Unlike `nbdev_test`, which ends a notebook at its first error, this goes on after a failing cell, so one run shows all
the exceptions there are. It honours nbdev's directives (`#| eval: false`, `skip_exec: true` in the front matter, the
flags of `tst_flags` in settings.ini) and writes nothing into the notebooks. The last line is `N passed, N failed`.

    python tests/run_notebooks.py                     all notebooks, as many at a time as there are cores
    python tests/run_notebooks.py --pattern '2*'      those whose name or path under nbs/ fits
    python tests/run_notebooks.py --workers 1 --timeout 600
"""
import argparse
import fnmatch
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


# The child process: one notebook

def run_notebook(
    notebook,  # its path
    report,    # file that gets one JSON object a line: what happens, as it happens
):
    "Run every cell of `notebook`, also those after a failing one."
    import faulthandler
    import traceback
    faulthandler.enable()  # after a crash, or the SIGABRT of a time-out, the log says where the process was

    from execnb.shell import CaptureShell
    from nbdev.config import get_config, is_nbdev
    from nbdev.frontmatter import FrontmatterProc
    from nbdev.process import NBProcessor, nb_lang

    def tell(**event):
        report.write(json.dumps(event) + '\n')
        report.flush()

    os.chdir(notebook.parent)
    processed = NBProcessor(notebook, procs=FrontmatterProc, process=True).nb  # front matter moves cells: only to read it
    nb = NBProcessor(notebook, rm_directives=False).nb  # the cells as they stand, so that numbers and lines are right
    front = getattr(processed, 'frontmatter_', {})
    if str(front.get('skip_exec', '')).lower() in ('true', '1', 'yes') or nb_lang(nb) != 'python':
        return tell(skipped=True)
    flags = set(get_config().tst_flags.split()) if is_nbdev() else set()
    if is_nbdev(): sys.path.insert(0, str(get_config().config_path))

    class Shell(CaptureShell):
        "Keeps the exceptions that never reach the cell, such as those of a figure that cannot be drawn."
        shown = None
        def showtraceback(self, *args, **kwargs):
            self.shown = sys.exc_info()[1]
            super().showtraceback(*args, **kwargs)

    shell = Shell(notebook)
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type != 'code' or not cell.source.strip(): continue
        directives = cell.directives_
        if directives.get('eval:', [''])[0].lower() == 'false' or flags & directives.keys(): continue
        if 'nbdev_export' + '(' in cell.source: continue
        tell(cell=number)
        shell.compile.get_code_name = lambda *args, name=f'<{notebook.name} cell {number}>': name
        shell.shown = shell.exc = None
        shell.cell(cell)
        error = shell.exc or shell.shown
        if error is None: continue
        frames = error.__traceback__
        while frames and 'IPython' in frames.tb_frame.f_code.co_filename: frames = frames.tb_next
        tell(failed=number, id=cell.id, source=cell.source,
             traceback=''.join(traceback.format_exception(type(error), error, frames)))
    tell(done=True)


# The parent process: all of them

class Runner:
    "Runs notebooks in processes of their own and collects what they tell."
    def __init__(self, root, workers, timeout):
        self.root, self.workers, self.timeout = root, workers, timeout
        self.running, self.stopped, self.lock = set(), False, threading.Lock()

    def __call__(self, notebooks):
        "Yield a result for each notebook, as they finish."
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(self.workers) as pool:
            try:
                jobs = [pool.submit(self.run, notebook, Path(folder)/str(i)) for i, notebook in enumerate(notebooks)]
                for job in as_completed(jobs): yield job.result()
            finally:  # also when the user presses Ctrl-C: leave no process behind
                with self.lock: self.stopped = True
                for process in list(self.running): kill(process)

    def run(self, notebook, folder):
        folder.mkdir()
        report, log = folder/'report', folder/'log'
        env = dict(os.environ, OMP_NUM_THREADS='1', MPLBACKEND='agg', IN_TEST='1', IPYTHONDIR=str(folder/'ipython'),
                   PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')]))
        start = time.monotonic()
        with open(log, 'wb') as output:
            with self.lock:
                if self.stopped: return
                process = subprocess.Popen([sys.executable, __file__, '--child', notebook, report], env=env,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
                self.running.add(process)
            try: late = wait(process, self.timeout)
            finally:
                kill(process)
                self.running.discard(process)
        events = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        result = dict(name=notebook.relative_to(self.root).as_posix(), seconds=time.monotonic() - start,
                      skipped=any('skipped' in e for e in events), failures=[e for e in events if 'failed' in e])
        if not any('done' in e or 'skipped' in e for e in events):
            cells = [e['cell'] for e in events if 'cell' in e]
            what = f'not finished after {self.timeout:g} s' if late else f'the process ended with code {process.returncode}'
            where = f'cell {cells[-1]} was running' if cells else 'no cell had been started'
            result['ended'] = f'{what}; {where}'
            result['log'] = log.read_text(errors='replace').splitlines()[-30:]
        return result


def wait(process, timeout):
    "Wait for the process. After the time-out ask it to say where it is (see faulthandler) and end it: returns True."
    try: process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        try: process.wait(2)
        except subprocess.TimeoutExpired: pass
        return True
    return False


def kill(process):
    "End the process and all that it started."
    try: os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError): pass  # nothing of it is left
    process.wait()


def find_notebooks(nbs, pattern=None):
    "Notebooks under the folder `nbs`, without those whose name, or whose folder's name, begins with `_` or `.`."
    for path in sorted(nbs.rglob('*.ipynb')):
        inside = path.relative_to(nbs)
        if any(part.startswith(('_', '.')) for part in inside.parts): continue
        names = inside.as_posix(), inside.name, inside.stem
        if pattern is None or any(fnmatch.fnmatch(name, pattern) for name in names): yield path


def details(result):
    "All that is known about a failed notebook."
    lines = []
    for failure in result['failures']:
        lines += ['', '=' * 100, f"{result['name']}  cell {failure['failed']}  (id {failure['id']})", '-' * 100,
                  *failure['source'].splitlines(), '-' * 100, *failure['traceback'].splitlines()]
    if 'ended' in result:
        lines += ['', '=' * 100, f"{result['name']}  {result['ended']}", '-' * 100, *result['log']]
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--nbs', type=Path, default=ROOT/'nbs', help='folder of the notebooks (default: nbs)')
    parser.add_argument('--pattern', help="only notebooks whose name or path fits, for example '2*' or 'studies/*'")
    parser.add_argument('--workers', type=int, default=cores(), help='how many at a time (default: %(default)s, the cores)')
    parser.add_argument('--timeout', type=float, default=300, help='seconds for one notebook (default: %(default)s)')
    args = parser.parse_args()
    if args.workers < 1: parser.error(f'--workers {args.workers}: at least 1')

    nbs = args.nbs.resolve()
    notebooks = list(find_notebooks(nbs, args.pattern))
    if not notebooks:
        print(f'no notebook under {nbs}' + (f' fits {args.pattern!r}' if args.pattern else ''), '0 passed, 0 failed', sep='\n')
        return 1

    start, results = time.monotonic(), []
    for result in Runner(nbs, args.workers, args.timeout)(notebooks):
        results.append(result)
        failed = bool(result['failures'] or 'ended' in result)
        result['state'] = 'FAILED' if failed else 'skipped' if result['skipped'] else 'ok'
        print(f"{result['state']:8}{result['name']:40}{result['seconds']:7.1f} s", flush=True)

    results.sort(key=lambda result: result['name'])
    bad = [result for result in results if result['state'] == 'FAILED']
    for result in bad: print(details(result))
    print(f'\n{len(results)} notebooks in {time.monotonic() - start:.0f} s, {args.workers} at a time')
    for result in bad:
        what = [f"cell {failure['failed']}" for failure in result['failures']] + ([result['ended']] if 'ended' in result else [])
        print(f"FAILED  {result['name']}: {', '.join(what)}")
    skipped = sum(result['state'] == 'skipped' for result in results)
    print(f'{len(results) - len(bad) - skipped} passed, {len(bad)} failed' + (f', {skipped} skipped' if skipped else ''))
    return 1 if bad else 0


def cores():
    "How many cores this process may use."
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


if __name__ == '__main__':
    if sys.argv[1:2] == ['--child']:
        sys.path.remove(str(ROOT/'tests'))  # notebooks see the project's folder and their own, not this one
        with open(sys.argv[3], 'w', encoding='utf-8') as report: run_notebook(Path(sys.argv[2]), report)
    else: sys.exit(main())
