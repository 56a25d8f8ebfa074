"Checks of the project as a whole: the notebook runner, the exported package, and what the site and README are made from."
import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import make_docs
import pytest
import yaml
from run_notebooks import cores, find_notebooks

ROOT = Path(__file__).resolve().parent.parent
NBS, LIB = ROOT/'nbs', ROOT/'softhebb_nb'
NOTEBOOKS = list(find_notebooks(NBS))
MODULES = sorted(path for path in LIB.rglob('*.py') if path.name != '_modidx.py')
GENERATED = [path for path in MODULES if path.name != '__init__.py']


def run(*command, cwd=ROOT, check=True, **env):
    "Run Python or a program that lies beside it; returns what it printed."
    bin = Path(sys.executable).parent
    command = [str(bin/command[0]), *map(str, command[1:])]
    clean = {key: value for key, value in os.environ.items() if key != 'IN_TEST'}
    done = subprocess.run(command, cwd=cwd, env={**clean, **env}, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode:
        print(done.stdout)  # pytest shows it
        pytest.fail(f'{command[0]} failed')
    return done


def cell_sources(notebook, kind):
    "Number and source of each cell of one kind."
    cells = json.loads(notebook.read_text(encoding='utf-8'))['cells']
    return [(number, ''.join(cell['source'])) for number, cell in enumerate(cells, 1) if cell['cell_type'] == kind]


def write_notebook(path, *cells):
    "A notebook of code cells; one that begins with `---` is front matter, one that begins with `# ` and a capital is text."
    def cell(number, source):
        kind = 'raw' if source.startswith('---') else 'markdown' if re.match('#+ [A-Z]', source) else 'code'
        code = dict(execution_count=None, outputs=[]) if kind == 'code' else {}
        return dict(cell_type=kind, id=f'cell{number}', metadata={}, source=source.splitlines(True), **code)
    path.parent.mkdir(parents=True, exist_ok=True)
    nb = dict(cells=[cell(i, source) for i, source in enumerate(cells, 1)], metadata={}, nbformat=4, nbformat_minor=5)
    path.write_text(json.dumps(nb), encoding='utf-8')


# The notebook runner

@pytest.fixture(scope='module')
def made_up(tmp_path_factory):
    "A project of small notebooks, and what the runner says of them."
    root = tmp_path_factory.mktemp('made_up')
    (root/'settings.ini').write_text('[DEFAULT]\nlib_name = made_up\nuser = nobody\ntst_flags = slow\n')
    nbs = root/'nbs'
    write_notebook(nbs/'good.ipynb', '# Good', '#| hide\nimport os, pathlib, matplotlib.pyplot as plt',
        "assert os.environ['OMP_NUM_THREADS'] == '1' and pathlib.Path('good.ipynb').exists()",
        '#| eval: false\nraise ValueError("not to be run")', '#| slow\nraise ValueError("not to be run")',
        "assert 'inline' in plt.get_backend()", 'plt.plot([1, 2]);', 'import sys; sys.some_patch = 1')
    write_notebook(nbs/'patched.ipynb', 'import sys', "assert not hasattr(sys, 'some_patch')")
    write_notebook(nbs/'bad.ipynb', '# Bad', 'def half(x):\n    return x.half_of_it', 'half("a string")', 'x = 1', 'assert x == 2, "x is 1"',
        'def (', 'import matplotlib.pyplot as plt', "plt.title(r'$\\frac{$');", 'x = 3')
    write_notebook(nbs/'skipped.ipynb', '---\ntitle: Skipped\nskip_exec: true\n---', '1/0')
    write_notebook(nbs/'studies'/'inner.ipynb', 'assert True')
    write_notebook(nbs/'crash.ipynb', 'import os', 'os._exit(3)')
    write_notebook(nbs/'exit.ipynb', 'import sys\nsys.exit()', 'y = 1')
    (nbs/'broken.ipynb').write_text('{"cells": [')
    for hidden in ('_draft.ipynb', '_old/draft.ipynb', '.ipynb_checkpoints/good.ipynb'): write_notebook(nbs/hidden, '1/0')
    before = {path: path.read_bytes() for path in nbs.rglob('*.ipynb')}
    done = run('python', ROOT/'tests'/'run_notebooks.py', '--nbs', nbs, check=False)
    assert before == {path: path.read_bytes() for path in nbs.rglob('*.ipynb')}, 'the runner changed a notebook'
    return done


def test_runner_counts_and_fails(made_up):
    assert made_up.returncode == 1
    assert made_up.stdout.splitlines()[-1] == '3 passed, 4 failed, 1 skipped'


def test_runner_prints_a_line_a_notebook_with_seconds(made_up):
    states = re.findall(r'^(ok|FAILED|skipped) +(\S+) +\d+\.\d s$', made_up.stdout, re.MULTILINE)
    assert {name: state for state, name in states} == {'good.ipynb': 'ok', 'patched.ipynb': 'ok', 'studies/inner.ipynb': 'ok', 'skipped.ipynb': 'skipped',
                      'bad.ipynb': 'FAILED', 'crash.ipynb': 'FAILED', 'exit.ipynb': 'FAILED', 'broken.ipynb': 'FAILED'}


def test_runner_shows_every_failing_cell(made_up):
    out = made_up.stdout
    assert 'FAILED  bad.ipynb: cell 3, cell 5, cell 6, cell 8\n' in out
    assert "AttributeError: 'str' object has no attribute 'half_of_it'" in out
    assert '<bad.ipynb cell 2>", line 2, in half\n    return x.half_of_it' in out
    assert 'AssertionError: x is 1' in out and 'SyntaxError' in out
    assert re.search(r'bad\.ipynb  cell 8 .*\n-+\nplt\.title', out), 'a figure that cannot be drawn went unseen'


def test_runner_reports_processes_that_end(made_up):
    assert 'crash.ipynb: the process ended with code 3; cell 2 was running' in made_up.stdout
    assert 'exit.ipynb: cell 1\n' in made_up.stdout and 'SystemExit' in made_up.stdout
    assert 'broken.ipynb: the process ended with code 1; no cell had been started' in made_up.stdout
    assert 'JSONDecodeError' in made_up.stdout


def test_runner_ends_a_hanging_notebook(tmp_path):
    write_notebook(tmp_path/'hang.ipynb', '1/0', 'import time, subprocess\nchild = subprocess.Popen(["sleep", "1000"])\n'
                   'open("child", "w").write(str(child.pid))\ntime.sleep(1000)')
    start = time.monotonic()
    done = run('python', ROOT/'tests'/'run_notebooks.py', '--nbs', tmp_path, '--timeout', 10, check=False)
    assert time.monotonic() - start < 60 and done.returncode == 1
    assert 'hang.ipynb: cell 1, not finished after 10 s; cell 2 was running\n0 passed, 1 failed\n' in done.stdout
    assert 'ZeroDivisionError' in done.stdout and 'File "<hang.ipynb cell 2>", line 4' in done.stdout
    child = Path('/proc')/(tmp_path/'child').read_text()/'stat'
    assert not child.exists() or child.read_text().rpartition(')')[2].split()[0] == 'Z', 'what the notebook started still runs'


def test_runner_fails_without_notebooks(tmp_path):
    done = run('python', ROOT/'tests'/'run_notebooks.py', '--nbs', tmp_path, '--pattern', 'x*', check=False)
    assert done.returncode == 1 and done.stdout.endswith('\n0 passed, 0 failed\n')


def test_runner_takes_a_pattern(tmp_path):
    for name in ('20_a', '21_b', 'studies/c'): write_notebook(tmp_path/f'{name}.ipynb', 'x = 1')
    def found(pattern): return [path.stem for path in find_notebooks(tmp_path, pattern)]
    assert (found('2*'), found('21_b'), found('studies/*'), found(None)) == (['20_a', '21_b'], ['21_b'], ['c'], ['20_a', '21_b', 'c'])


# The exported package

@pytest.fixture
def project(tmp_path):
    "A copy of what the package and the site are made from."
    copy = tmp_path/'project'
    for name in ('nbs', 'softhebb_nb'):
        shutil.copytree(ROOT/name, copy/name, symlinks=True, ignore=shutil.ignore_patterns('__pycache__', '.*'))
    for name in ('settings.ini', '_quarto.yml', 'README.md'): shutil.copy(ROOT/name, copy/name)
    return copy


def contents(*folders):
    "{path: bytes} of the files under the folders."
    return {path.relative_to(folder.parent).as_posix(): path.read_bytes() for folder in folders for path in sorted(folder.rglob('*'))
            if path.is_file() and '__pycache__' not in path.parts}


def differing(old, new):
    "Names of files that are not the same, or in one of the two only."
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def test_export_changes_nothing(project):
    before = contents(project/'softhebb_nb', project/'nbs')
    for path in (project/'softhebb_nb').rglob('*.py'):  # so that a module whose notebook is gone is missed, too
        if path.name != '__init__.py': path.unlink()
    run('nbdev_export', cwd=project)
    wrong = differing(before, contents(project/'softhebb_nb', project/'nbs'))
    assert not wrong, f'not what the notebooks say: {wrong}; run: make export'
    assert not (project/'pyproject.toml').exists()


def test_notebooks_are_clean(project):
    before = contents(project/'nbs')
    out = run('nbdev_clean', cwd=project).stdout
    wrong = differing(before, contents(project/'nbs'))
    assert not wrong and 'Failed' not in out, f'not clean: {wrong}; run: make clean\n{out}'


def test_every_module_imports_in_a_fresh_process():
    def problem(path):
        name = '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
        code = f"import sys, {name}\nprint(*{{'nbdev', 'fastcore.test', 'pytest'}} & sys.modules.keys())"
        done = run('python', '-c', code, check=False, OMP_NUM_THREADS='1')
        if done.returncode: return f'{name}:\n{done.stdout}'
        if done.stdout.strip(): return f'{name} imports or prints: {done.stdout}'
    with ThreadPoolExecutor(cores()) as pool: problems = list(filter(None, pool.map(problem, MODULES)))
    assert not problems, '\n'.join(problems)


def test_importing_the_package_imports_nothing_else():
    code = ("import sys; before = set(sys.modules)\nimport softhebb_nb\n"
            "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
            "print(*new - {'softhebb_nb'} - sys.stdlib_module_names)")
    assert run('python', '-c', code).stdout.strip() == ''


def exported_from(notebook):
    "The module that a notebook says it owns (or None), and how many of its cells are exported, and to where."
    owns, cells, elsewhere = [], 0, []
    for number, source in cell_sources(notebook, 'code'):
        directives = re.findall(r'^#\s*\|\s*(default_exp|exports?i?)\b:?[ \t]*(.*)$', source, re.MULTILINE)
        owns += [value.strip() for name, value in directives if name == 'default_exp']
        cells += any(name != 'default_exp' for name, value in directives)
        elsewhere += [number for name, value in directives if name != 'default_exp' and value.strip()]
    return owns, cells, elsewhere


def test_every_module_belongs_to_one_notebook():
    problems, owner = [], defaultdict(list)
    for path in NOTEBOOKS:
        owns, cells, elsewhere = exported_from(path)
        if len(owns) > 1: problems.append(f'{path.name} has several default_exp: {owns}')
        if cells and not owns: problems.append(f'{path.name} exports cells and has no default_exp')
        if elsewhere: problems.append(f'{path.name} exports to another module in cells {elsewhere}')
        for name in owns: owner[name].append(path.name)
    problems += [f'{names} all own {module}' for module, names in owner.items() if len(names) > 1]
    modules = {'.'.join(path.relative_to(LIB).with_suffix('').parts) for path in GENERATED}
    problems += [f'{sorted(names)} own {module}, which is not there' for module, names in owner.items() if module not in modules]
    problems += [f'no notebook owns {module}' for module in modules - owner.keys()]
    assert not problems, '\n'.join(problems)


def imported_modules(tree):
    "Modules of the package that the code imports, from, also inside functions."
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level == 1: yield from [node.module.partition('.')[0]] if node.module else [alias.name for alias in node.names]
            elif node.level == 0 and (node.module or '').startswith('softhebb_nb.'): yield node.module.split('.')[1]
            elif node.module == 'softhebb_nb': yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split('.')[1] for alias in node.names if alias.name.startswith('softhebb_nb.'))


def test_modules_import_only_from_earlier_notebooks():
    place = {owns[0]: path.relative_to(NBS).as_posix() for path in NOTEBOOKS for owns in [exported_from(path)[0]] if owns}
    problems = [f'{place[path.stem]} imports from {place.get(name, name)}' for path in GENERATED
                for name in imported_modules(ast.parse(path.read_text(encoding='utf-8')))
                if name in place and place[name] >= place[path.stem]]
    assert not problems, '\n'.join(problems)


def public_names(tree, kinds):
    "Public names that the code defines at its top level; methods added by @patch are not among them."
    for node in tree.body:
        if not isinstance(node, kinds): continue
        if isinstance(node, ast.Assign): names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else: names = [] if any('patch' in ast.unparse(decorator) for decorator in node.decorator_list) else [node.name]
        yield from (name for name in names if not name.startswith('_'))


@pytest.mark.filterwarnings('ignore:invalid escape sequence')  # the next test finds them
def test_exported_names_are_defined_once():
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    places = defaultdict(list)
    for path in GENERATED:
        for name in set(public_names(ast.parse(path.read_text(encoding='utf-8')), (*definitions, ast.Assign))):
            places[name].append(path.name)
    for path in NOTEBOOKS:
        for number, source in cell_sources(path, 'code'):
            if re.search(r'^#\s*\|\s*exports?i?\b', source, re.MULTILINE): continue
            try: tree = ast.parse(source, f'{path.name} cell {number}')
            except SyntaxError: continue  # a cell with a magic
            for name in public_names(tree, definitions):
                if name in places: places[name].append(f'{path.name} cell {number}')
    problems = [f'{name}: {", ".join(where)}' for name, where in places.items() if len(where) > 1]
    assert not problems, 'defined more than once:\n' + '\n'.join(problems)


def test_cells_have_no_invalid_escapes():
    "Such as '$\\pi$' without the r in front: Python 3.12 and later print a warning for each."
    problems = []
    for path in NOTEBOOKS:
        for number, source in cell_sources(path, 'code'):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                try: ast.parse(source)
                except SyntaxError: pass  # a cell with a magic, or one that its notebook fails with
            problems += [f'{path.name} cell {number}, line {warning.lineno}: {warning.message}' for warning in caught]
    assert not problems, '\n'.join(problems)


# The site and README

def test_first_cells_hold_no_list():  # nbdev reads a list under the title as settings of the page
    for path in NOTEBOOKS:
        first = ''.join(json.loads(path.read_text())['cells'][0]['source'])
        assert not re.search(r'^- ', first, re.M), path


def test_page_names_are_unique():
    pages = defaultdict(list)
    for path in NOTEBOOKS:  # nbdev drops a leading number from the names of pages
        parts = [re.sub(r'^\d+[a-zA-Z0-9]*_', '', part.lower()) for part in path.relative_to(NBS).with_suffix('').parts]
        pages['/'.join(parts)].append(path.name)
    assert not (twice := {page: names for page, names in pages.items() if len(names) > 1}), twice


def without_code(text):
    "Markdown without code and mathematics, in which brackets mean something else."
    for pattern in (r'^```.*?^```', r'`+[^`]*`+', r'\$\$.*?\$\$', r'\$[^$\n]+\$'):
        text = re.sub(pattern, '', text, flags=re.MULTILINE | re.DOTALL)
    return text


def anchors(notebook):
    "What `#…` may name in the page of a notebook: its headings, as pandoc names them, and the symbols that it documents."
    found = set()
    for _, source in cell_sources(notebook, 'markdown'):
        for title in re.findall(r'^#{1,6}\s+(.*)$', re.sub(r'^```.*?^```', '', source, flags=re.MULTILINE | re.DOTALL), re.MULTILINE):
            found |= set(re.findall(r'\{#([\w-]+)', title))
            title = re.sub(r'\{[^}]*\}', '', re.sub(r'\]\([^)]*\)', '', title)).strip().lower()
            found.add(re.sub(r'^[^a-z]+', '', re.sub(r'[^\w\s.-]', '', title).replace(' ', '-')) or 'section')
    page = re.sub(r'^\d+[a-zA-Z0-9]*_', '', notebook.stem.lower()) + '.html#'
    scope = {}
    exec((LIB/'_modidx.py').read_text(encoding='utf-8'), scope)
    links = [link for symbols in scope['d']['syms'].values() for link, _ in symbols.values()]
    return found | {link[len(page):] for link in links if link.startswith(page)}


def test_internal_links_and_images_exist():
    target = re.compile(r'\]\(\s*<?([^)\s>]+)|\b(?:src|href)="([^"]+)"|^\[[^\]]+\]:\s*(\S+)', re.MULTILINE)
    problems = []
    for path in NOTEBOOKS:
        for number, source in cell_sources(path, 'markdown'):
            for link in map(''.join, target.findall(without_code(source))):
                if re.match(r'(https?|mailto):', link): continue
                name, _, anchor = link.partition('#')
                file = (path.parent/name).resolve() if name else path
                if not file.is_file() or not file.is_relative_to(NBS): problems.append(f'{path.name} cell {number}: {link}: no such file under nbs/')
                elif anchor and file.suffix == '.ipynb' and anchor not in anchors(file):
                    problems.append(f'{path.name} cell {number}: {link}: no such heading; there are {sorted(anchors(file))}')
    assert not problems, '\n'.join(problems)


def _raised(function): # names of the errors that a function raises itself
    errors = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {error.func.id for error in errors if isinstance(error.func, ast.Name)}
    return {'ValueError' if name == 'unknown_name' else name for name in names if name[:1].isupper() or name == 'unknown_name'}


def _functions(tree): # (function, docstrings that a reader sees with it): a patched method has those of its class
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith('_')}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef): continue
        patched = any('patch' in ast.unparse(decorator) for decorator in node.decorator_list)
        yield node, [node, *([classes[name]] if patched and (name := ast.unparse(node.args.args[0].annotation)) in classes else [])]
    for owner in classes.values():
        for node in owner.body:
            if isinstance(node, ast.FunctionDef): yield node, [node, owner]


def test_docstrings_name_the_errors():
    "What a public function raises stands in its docstring, or in that of its class."
    problems = []
    for path in GENERATED:
        for function, told_by in _functions(ast.parse(path.read_text(encoding='utf-8'))):
            if function.name.startswith('_') and function.name != '__init__': continue
            told = ' '.join(ast.get_docstring(node) or '' for node in told_by)
            problems += [f'{path.name} line {function.lineno}: {function.name} raises {error}' for error in sorted(_raised(function)) if error not in told]
    assert not problems, '\n'.join(problems)


def test_outputs_hold_no_errors():
    "What readers see ran without an error, without a warning, and is not left over from a run that failed."
    problems = []
    for path in NOTEBOOKS:
        for number, cell in enumerate(json.loads(path.read_text(encoding='utf-8'))['cells'], 1):
            for output in cell.get('outputs', []):
                text = ''.join(output.get('text', []))
                if output['output_type'] == 'error' or output.get('name') == 'stderr' or 'Traceback (most recent call last)' in text:
                    problems.append(f'{path.name} cell {number}: {text[:200]}')
    assert not problems, '\n'.join(problems)


def test_outputs_need_no_network():
    "Widgets and scripts in outputs make Quarto load code from other hosts."
    problems = []
    for path in NOTEBOOKS:
        for number, cell in enumerate(json.loads(path.read_text(encoding='utf-8'))['cells'], 1):
            for data in (output.get('data', {}) for output in cell.get('outputs', [])):
                bad = [kind for kind in data if 'widget-view' in kind or 'javascript' in kind]
                if bad or re.search(r'<script|src="(https?:)?//', ''.join(data.get('text/html', ''))):
                    problems.append(f'{path.name} cell {number}: {bad or "text/html with a script"}')
    assert not problems, '\n'.join(problems)


def test_readme_and_sidebar_are_what_the_notebooks_say():
    run('python', ROOT/'tests'/'make_docs.py', '--check')


def test_stubs_are_what_the_modules_say():
    done = run('python', ROOT/'tests'/'make_stubs.py', '--check', check=False)
    assert not done.returncode, done.stdout


def test_stubs_know_patched_methods_and_attributes():
    import make_stubs
    text = make_stubs.stub('''
from fastcore.basics import patch
from pathlib import Path
class Layer:
    "A layer."
    order = 3
    def __init__(self, n:int, file:Path=None): self.n = n
@patch
def grow(self:Layer, by:int=1, *, name:str=None)->float: self.size = by
@patch(as_prop=True)
def area(self:Layer)->int: return 1
Layer.delta = property(lambda self: 1)
LIMIT = 5
''')
    expected = ['class Layer:', 'order: int', 'n: Any', 'size: Any', 'delta: Any', 'def __init__(self, n: int, file: Path | None = ...) -> None: ...',
                'def grow(self, by: int = ..., *, name: str | None = ...) -> float: ...', '@property', 'def area(self) -> int: ...', 'LIMIT: int', 'from pathlib import Path']
    for line in expected: assert line in text, line
    assert 'fastcore' not in text


def test_notebooks_become_pages(project):
    assert not any(part.startswith('.') for part in project.parts), f'{project}: nbdev finds nothing below a folder with a leading dot'
    code = ('from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml; refresh_quarto_yml(); nbdev_sidebar.__wrapped__()\n'
            'from nbdev.serve import proc_nbs; proc_nbs(n_workers=2)')  # what nbdev_docs does before it calls Quarto
    before = contents(project/'nbs')
    run('python', '-c', code, cwd=project, OMP_NUM_THREADS='1')
    changed = differing(before, contents(project/'nbs'))
    assert not changed, f'nbdev writes {changed} anew: copy its nbs/nbdev.yml; custom_sidebar = True in settings.ini keeps our nbs/sidebar.yml'
    pages = project/'_proc'
    missing = [str(path.relative_to(NBS)) for path in NOTEBOOKS if not (pages/path.relative_to(NBS)).exists()]
    assert not missing
    assert (project/'nbs'/'_quarto.yml').is_symlink() and (pages/'_quarto.yml').read_bytes() == (ROOT/'_quarto.yml').read_bytes()
    quarto = yaml.safe_load((pages/'_quarto.yml').read_text())
    html = quarto['format']['html']
    assert html['html-math-method'] == 'mathml'
    files = [*quarto['metadata-files'], html['css'], *(name for names in html['theme'].values() for name in names if '.' in name)]
    assert not [name for name in files if not (pages/name).is_file()]
    listed = re.findall(r'- (\S+\.ipynb)', (pages/'sidebar.yml').read_text())
    assert listed and not [name for name in listed if not (pages/name).is_file()]


PIXEL = base64.b64encode(b'not really a picture').decode()
INDEX = [('markdown', '# Title\n\nSee [core](00_core.ipynb#seeds), [it](https://x.org), ![](images/a.png) and `[a](b)`.', []),
         ('code', '#| hide\nimport secret', []),
         ('code', '#| fig-alt: A line\nplot()', [dict(output_type='display_data', data={'image/png': PIXEL, 'text/plain': '<Figure>'})]),
         ('code', 'print("```")', [dict(output_type='stream', name='stdout', text=['```\n'])]),
         ('code', '#| echo: false\n1 + 1', [dict(output_type='execute_result', data={'text/plain': ['2']})])]
README = '''<!-- Made from nbs/index.ipynb by `make export`: edit that. -->

# Title

See [core](nbs/00_core.ipynb#seeds), [it](https://x.org), ![](nbs/images/a.png) and `[a](b)`.

```python
plot()
```

![A line](nbs/images/index_1.png)

````python
print("```")
````

````
```
````

```
2
```
'''


def test_readme_is_made_from_the_index(tmp_path):
    (tmp_path/'nbs'/'images').mkdir(parents=True)
    (tmp_path/'nbs'/'images'/'index_7.png').touch()
    for name in ('30_c', '00_core', '21_b', 'studies/z'): write_notebook(tmp_path/'nbs'/f'{name}.ipynb', '# A')
    cells = [dict(cell_type=kind, source=source.splitlines(True), outputs=outputs) for kind, source, outputs in INDEX]
    (tmp_path/'nbs'/'index.ipynb').write_text(json.dumps(dict(cells=cells)))
    script = ROOT/'tests'/'make_docs.py'
    assert run('python', script, '--root', tmp_path, '--check', check=False).returncode == 1 and not (tmp_path/'README.md').exists()
    run('python', script, '--root', tmp_path)
    assert (tmp_path/'README.md').read_text() == README
    assert [path.name for path in (tmp_path/'nbs'/'images').iterdir()] == ['index_1.png']
    assert yaml.safe_load((tmp_path/'nbs'/'sidebar.yml').read_text())['website']['sidebar']['contents'] == ['index.ipynb',
        dict(section='Learn', contents=['00_core.ipynb']), dict(section='Use', contents=['21_b.ipynb']),
        dict(section='Study', contents=['30_c.ipynb', 'studies/z.ipynb'])]
    run('python', script, '--root', tmp_path, '--check')


def test_pages_load_nothing_from_other_hosts(tmp_path):
    widgets = ('<script src="https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js" integrity="x"></script>\n'
               '<script src="https://cdnjs.cloudflare.com/ajax/libs/jquery/3.5.1/jquery.min.js" data-relocate-top="true"></script>\n'
               '''<script type="application/javascript">define('jquery', [],function() {return window.jQuery;})</script>\n''')
    page = '<html><script src="site_libs/a.js"></script>\n<a href="https://x.org">x</a></html>'
    assert make_docs.check_site(tmp_path) == [f'{tmp_path}: no page in it']
    (tmp_path/'a.html').write_text(page.replace('<a ', widgets + '<a '))
    assert make_docs.check_site(tmp_path) == [] and (tmp_path/'a.html').read_text() == page
    (tmp_path/'b.css').write_text('@import"https://fonts.googleapis.com/css2?family=Lato";')
    (tmp_path/'c.html').write_text('<script async src="https://unpkg.com/x.js"></script><link rel="stylesheet" href="//x.org/a.css">')
    assert len(make_docs.check_site(tmp_path)) == 3
