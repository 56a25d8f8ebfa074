"""The explorers in a real kernel and a real browser: JupyterLab and Notebook 7 with headless Chromium. What is not installed is skipped, and said so."""
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

SECONDS = 120  # for each test
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)

SETUP = '''
import json, time
import torch
from softhebb_nb.core import mnist5k, set_seed
from softhebb_nb.datasets import DeviceLoader, Images
from softhebb_nb.explore import CompetitionPlayground, KernelBrowser, Monitor, fit_in_background
from softhebb_nb.layers import HebbConv2d
from softhebb_nb.learner import DataLoaders, Learner
from softhebb_nb.training import HebbianCB
x, y, *_ = mnist5k()
images = Images(x[:100, None], y[:100], list(range(10)))
set_seed(0)
net = torch.nn.Sequential(HebbConv2d(1, 16, 5))
'''
LEARN = '''
monitor = Monitor(net, every=.3)
learn = Learner(net, DataLoaders(DeviceLoader(images, 10)), cbs=[HebbianCB(), *monitor.cbs])
'''


class Kernel:
    "A kernel without a browser."
    def __enter__(self):
        from jupyter_client.manager import start_new_kernel
        self.manager, self.client = start_new_kernel(kernel_name='python3', startup_timeout=60)
        self.deadline = time.monotonic() + SECONDS
        return self

    def __exit__(self, *exc):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def start(self, code): return self.client.execute(code)

    def finish(self, request):
        "What a request printed, and the name of its error."
        printed, error = '', None
        while time.monotonic() < self.deadline:
            try: message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty: continue
            if message['parent_header'].get('msg_id') != request: continue
            kind, content = message['msg_type'], message['content']
            if kind == 'stream': printed += content['text']
            if kind == 'error': error = f"{content['ename']}: {content['evalue']}"
            if kind == 'status' and content['execution_state'] == 'idle': return printed, error
        pytest.fail(f'not finished after {SECONDS} s; printed so far: {printed}')

    def run(self, code): return self.finish(self.start(code))


@pytest.fixture
def kernel():
    pytest.importorskip('jupyter_client', reason='jupyter_client is not installed')
    pytest.importorskip('ipykernel', reason='ipykernel is not installed')
    with Kernel() as kernel: yield kernel


def test_an_interrupt_ends_a_blocking_fit_after_its_batch(kernel):
    "Where no thread is used, the kernel's interrupt button is the stop button."
    _, error = kernel.run(SETUP + LEARN + "print('ready')")
    assert error is None, error
    request = kernel.start('learn.fit(10**6)')
    time.sleep(2)
    kernel.manager.interrupt_kernel()
    _, error = kernel.finish(request)
    assert error and error.startswith('KeyboardInterrupt: the fit was stopped'), error
    printed, error = kernel.run('print(monitor.status, net[0].pending, net[0].steps * 10 == monitor.deltas.images, net[0].steps > 5)')
    assert (printed.split(), error) == (['stopped', 'False', 'True', 'True'], None), (printed, error)
    printed, error = kernel.run("import signal; print(signal.getsignal(signal.SIGINT).__name__ == '_interrupted'); before = monitor.deltas.images; learn.fit(1); print(monitor.status, monitor.deltas.images - before)")
    assert (printed.split(), error) == (['False', 'finished', '100'], None), (printed, error)


def test_a_message_reaches_a_fit_in_the_background(kernel):
    "A click is a comm message from the front end: sent here by hand, while the fit goes on."
    _, error = kernel.run(SETUP + LEARN + 'monitor.widget; job = fit_in_background(learn.fit, 10**6)')
    assert error is None, error
    printed, error = kernel.run('time.sleep(1); print(monitor.status, job.running, monitor.button.model_id)')
    status, running, model = printed.split()
    assert (status, running, error) == ('running', 'True', None), (printed, error)
    click = dict(method='custom', content=dict(event='click'))
    kernel.client.shell_channel.send(kernel.client.session.msg('comm_msg', dict(comm_id=model, data=click)))
    printed, error = kernel.run('job.wait(60); print(monitor.status, net[0].pending, monitor.line.value.split(":")[0], monitor.drawn > 1)')
    assert (printed.split(), error) == (['stopped', 'False', 'stopped', 'True'], None), (printed, error)


# The browser

CELLS = [SETUP + LEARN + "def tell(**values): open('told.json', 'w').write(json.dumps(values))\n" + '''
def say(explorer, *fields):
    def note(change): tell(**{name: getattr(explorer, name) for name in fields}, drawn=explorer.shown.get_suptitle())
    explorer.picture.observe(note, 'value')
''',
         "browser = KernelBrowser(net, images)\nwidget = browser.widget\nsay(browser, 'layer', 'kernel')\nwidget",
         "playground = CompetitionPlayground(net, images)\nwidget = playground.widget\nsay(playground, 'rule', 'inverse_temperature')\nwidget",
         'job = fit_in_background(learn.fit, 10**6)\nmonitor.widget']


RUN_ALL = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    await app.shell.currentWidget.sessionContext.ready;
    if (!await app.commands.execute('notebook:run-all-cells')) throw new Error(document.querySelector('.jp-Notebook').innerText);
}"""


def free_port():
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); return s.getsockname()[1]


def stop_group(process):
    "End a process and all that it started."
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try: os.killpg(process.pid, number)
        except ProcessLookupError: break
        try: process.wait(patience)
        except subprocess.TimeoutExpired: continue
    process.wait(10)


def notebook_of(cells):
    made = [dict(cell_type='code', id=f'cell{i}', metadata={}, execution_count=None, outputs=[], source=source) for i, source in enumerate(cells)]
    return dict(cells=made, metadata=dict(kernelspec=dict(name='python3', display_name='Python 3', language='python')), nbformat=4, nbformat_minor=5)


@pytest.fixture(params=['jupyterlab', 'notebook'])
def lab(request, tmp_path):
    "JupyterLab or Notebook 7 on a free port, with a notebook in its folder; its address."
    app, place = dict(jupyterlab=('LabApp', 'lab/tree'), notebook=('JupyterNotebookApp', 'notebooks'))[request.param]
    pytest.importorskip(request.param, reason=f'{request.param} is not installed: pip install {request.param}')
    (tmp_path/'explore.ipynb').write_text(json.dumps(notebook_of(CELLS)))
    port, token, home = free_port(), os.urandom(12).hex(), tmp_path/'home'
    home.mkdir()
    env = dict(os.environ, JUPYTER_CONFIG_DIR=str(home/'config'), JUPYTER_DATA_DIR=str(home/'data'), JUPYTER_RUNTIME_DIR=str(home/'runtime'),
               JUPYTERLAB_SETTINGS_DIR=str(home/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(home/'workspaces'), IPYTHONDIR=str(home/'ipython'), OMP_NUM_THREADS='1')
    command = [sys.executable, '-m', request.param, '--no-browser', '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={port}', '--ServerApp.port_retries=0',
               f'--IdentityProvider.token={token}', f'--ServerApp.root_dir={tmp_path}', '--ServerApp.allow_root=True', f'--{app}.expose_app_in_browser=True', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    log = open(home/'log', 'wb')
    process = subprocess.Popen(command, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        address, deadline = f'http://127.0.0.1:{port}', time.monotonic() + 60
        while True:
            try: urllib.request.urlopen(f'{address}/api/status?token={token}', timeout=5).close(); break
            except OSError: pass
            if process.poll() is not None or time.monotonic() > deadline: pytest.fail(f"{request.param} did not start:\n{(home/'log').read_text()[-3000:]}")
            time.sleep(.2)
        yield f'{address}/{place}/explore.ipynb?token={token}&reset'
    finally:
        kernels = urllib.request.Request(f'{address}/api/kernels?token={token}')
        try:
            for kernel in json.load(urllib.request.urlopen(kernels, timeout=5)):  # kernels lead process groups of their own
                urllib.request.urlopen(urllib.request.Request(f"{address}/api/kernels/{kernel['id']}?token={token}", method='DELETE'), timeout=10).close()
        except OSError: pass
        stop_group(process)
        log.close()


@pytest.fixture
def page(lab):
    "A page of headless Chromium."
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed: pip install playwright')
    if CHROMIUM is None: pytest.skip('no Chromium on this machine: apt-get install chromium')
    with api.sync_playwright() as play:
        quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=quiet)
        try:
            page = chromium.new_page(viewport=dict(width=1300, height=2600))
            page.set_default_timeout(1000*SECONDS)
            yield page
        finally:
            if os.environ.get('SOFTHEBB_SCREENSHOT'): page.screenshot(path=os.environ['SOFTHEBB_SCREENSHOT'])  # to see what it looked like
            chromium.close()


def told(folder, wanted, deadline):
    "Wait until the notebook has told something of which `wanted(values)` is true."
    values = None
    while time.monotonic() < deadline:
        try: values = json.loads((folder/'told.json').read_text())
        except (OSError, ValueError): values = None
        if values and wanted(values): return values
        time.sleep(.1)
    pytest.fail(f'the notebook told {values}')


def test_sliders_and_the_stop_button(lab, page, tmp_path):
    deadline = time.monotonic() + SECONDS
    page.goto(lab)
    page.wait_for_selector('.jp-Notebook .jp-CodeCell')
    page.evaluate(RUN_ALL)
    picture = '.jupyter-widgets.softhebb-{} img'
    for name in ('KernelBrowser', 'CompetitionPlayground', 'Monitor'): page.wait_for_selector(picture.format(name))

    def source(name): return page.locator(picture.format(name)).get_attribute('src')

    # the browser: a slider moves to another kernel, and another picture comes
    before = source('KernelBrowser')
    kernel = page.locator('.softhebb-KernelBrowser .widget-slider', has_text='kernel')
    track = kernel.locator('.noUi-base').bounding_box()
    page.mouse.click(track['x'] + track['width']/15, track['y'] + track['height']/2)  # 1 of 0 to 15
    values = told(tmp_path, lambda v: v.get('kernel') == 1, deadline)
    assert values['drawn'].startswith('kernel 1 of 16')
    page.wait_for_function('([selector, old]) => document.querySelector(selector).src != old', arg=[picture.format('KernelBrowser'), before])
    assert kernel.locator('.widget-readout').inner_text() == '1'

    # the playground: a rule from the list
    before = source('CompetitionPlayground')
    page.locator('.softhebb-CompetitionPlayground .widget-dropdown', has_text='rule').locator('select').select_option('hard')
    values = told(tmp_path, lambda v: v.get('rule') == 'hard', deadline)
    assert ': hard,' in values['drawn']
    page.wait_for_function('([selector, old]) => document.querySelector(selector).src != old', arg=[picture.format('CompetitionPlayground'), before])

    # the monitor: new pictures come by themselves while the fit runs, and a click ends it
    before, line = source('Monitor'), page.locator('.softhebb-Monitor .widget-label').last
    page.wait_for_function('([selector, old]) => document.querySelector(selector).src != old', arg=[picture.format('Monitor'), before])
    assert line.inner_text().startswith('running: epoch')
    page.locator('.softhebb-Monitor button').click()
    page.wait_for_function("() => [...document.querySelectorAll('.softhebb-Monitor .widget-label')].some(e => e.innerText.startsWith('stopped'))")
    assert page.locator('.softhebb-Monitor button').is_disabled() and int(re.search(r'([\d,]+) images', line.inner_text())[1].replace(',', '')) > 0
