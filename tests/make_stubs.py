#!/usr/bin/env python3
"""Writes softhebb_nb/*.pyi, what type checkers and editors read, from the exported modules.

The notebooks add methods to classes step by step with `@patch`, which no type checker follows. A stub has each class in one
piece, with the attributes that its methods set. `make export` runs this.

    python tests/make_stubs.py           write what has changed
    python tests/make_stubs.py --check   write nothing, fail if something would change
"""
import argparse
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ('property', 'classmethod', 'staticmethod', 'dataclass', 'cached_property')  # decorators that mean something to a type checker
LITERALS = {ast.Dict: 'dict', ast.List: 'list', ast.Tuple: 'tuple', ast.Set: 'set', ast.JoinedStr: 'str', ast.DictComp: 'dict', ast.ListComp: 'list'}


def decorators(node):
    "Name -> decorator, without its module and arguments."
    def name(d): return name(d.func) if isinstance(d, ast.Call) else d.attr if isinstance(d, ast.Attribute) else d.id
    return {name(d): d for d in node.decorator_list}


def kind(value):
    "The type of a constant or a literal; Any for everything else."
    if isinstance(value, ast.Constant) and value.value is not None: return type(value.value).__name__
    return LITERALS.get(type(value), 'Any')


def signature(node, method=False, patched=False):
    "Arguments and result of a function, with `| None` where the default is None."
    a = node.args
    def one(arg, default, first=False):
        hint = ast.unparse(arg.annotation) if arg.annotation and not (first and patched) else None
        if hint and isinstance(default, ast.Constant) and default.value is None and 'None' not in hint and hint not in ('Any', 'object'):
            hint = f'{hint} | None' if not isinstance(arg.annotation, ast.Constant) else f'Any'
        return arg.arg + (f': {hint}' if hint else '') + (' = ...' if hint and default else '=...' if default else '')
    positional = [*a.posonlyargs, *a.args]
    defaults = [None]*(len(positional) - len(a.defaults)) + list(a.defaults)
    parts = [one(arg, d, method and i == 0) for i, (arg, d) in enumerate(zip(positional, defaults))]
    if a.posonlyargs: parts.insert(len(a.posonlyargs), '/')
    if a.vararg: parts.append('*' + one(a.vararg, None))
    elif a.kwonlyargs: parts.append('*')
    parts += [one(arg, d) for arg, d in zip(a.kwonlyargs, a.kw_defaults)]
    if a.kwarg: parts.append('**' + one(a.kwarg, None))
    result = ast.unparse(node.returns) if node.returns else 'None' if node.name == '__init__' else 'Any'
    names = decorators(node)
    if 'contextmanager' in names: result = 'AbstractContextManager[Any]'
    ignore = '  # type: ignore' if method and node.name in ('parse_args', 'exit', 'error') else ''  # overloaded in the base class
    return f'def {node.name}({", ".join(parts)}) -> {result}: ...{ignore}'


def method(node, patched=False):
    "Lines of a method."
    names, lines = decorators(node), []
    if patched and isinstance(names['patch'], ast.Call):
        given = {k.arg: k.value.value for k in names['patch'].keywords}
        if given.get('as_prop'): lines.append('@property')
        if given.get('cls_method'): lines.append('@classmethod')
    for name, d in names.items():
        if name in KEPT or name in ('setter',): lines.append('@' + ast.unparse(d))
    return [*lines, signature(node, True, patched)]


def attributes(functions):
    "Names of the attributes that methods set on their first argument."
    found = {}
    for f in functions:
        if not f.args.args: continue
        me = f.args.args[0].arg
        for node in ast.walk(f):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == me: found[node.attr] = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ('register_buffer', 'register_parameter') \
                    and node.args and isinstance(node.args[0], ast.Constant): found[node.args[0].value] = None
    return found


def class_lines(node, patched, added):
    "A class in one piece."
    own = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    head = ['@' + ast.unparse(d) for name, d in decorators(node).items() if name in KEPT]
    bases = ', '.join(ast.unparse(b) for b in [*node.bases, *node.keywords])
    lines, names = [], {f.name for f in [*own, *patched]}
    for n in node.body:
        if isinstance(n, ast.AnnAssign):
            hint = ast.unparse(n.annotation)
            if isinstance(n.value, ast.Constant) and n.value.value is None and 'None' not in hint: hint += ' | None'
            lines.append(f'{ast.unparse(n.target)}: {hint}' + (' = ...' if n.value else '')); names.add(n.target.id)
        elif isinstance(n, ast.Assign):
            for t in n.targets:
                for name in (t.elts if isinstance(t, ast.Tuple) else [t]):
                    if isinstance(name, ast.Name): lines.append(f'{name.id}: {kind(n.value) if isinstance(t, ast.Name) else "Any"}'); names.add(name.id)
    lines += [f'{name}: Any' for name in [*attributes([*own, *patched]), *added] if name not in names]
    for f in own: lines += method(f)
    for f in patched: lines += method(f, True)
    return [*head, f'class {node.name}' + (f'({bases})' if bases else '') + ':', *(f'    {line}' for line in lines or ['...'])]


def stub(
    source,  # text of a module
):  # text of its stub
    "The module's names with their types."
    tree = ast.parse(source)
    body = [n for top in tree.body for n in ([*top.body, *[m for h in top.handlers for m in h.body]] if isinstance(top, ast.Try) else [top])]
    patched, added = {}, {}
    for n in body:
        if isinstance(n, ast.FunctionDef) and 'patch' in decorators(n): patched.setdefault(ast.unparse(n.args.args[0].annotation), []).append(n)
        if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Attribute) and isinstance(n.targets[0].value, ast.Name):
            added.setdefault(n.targets[0].value.id, []).append(n.targets[0].attr)
    lines, imports = [], [n for n in body if isinstance(n, (ast.Import, ast.ImportFrom))]
    for n in body:
        if isinstance(n, (ast.Import, ast.ImportFrom)): continue
        elif isinstance(n, ast.ClassDef): lines += ['', *class_lines(n, patched.get(n.name, []), added.get(n.name, []))]
        elif isinstance(n, ast.FunctionDef) and 'patch' not in decorators(n): lines += ['', signature(n)]
        elif isinstance(n, ast.AnnAssign): lines.append(f'{ast.unparse(n.target)}: {ast.unparse(n.annotation)}')
        elif isinstance(n, ast.Assign):
            for t in n.targets:
                for name in (t.elts if isinstance(t, ast.Tuple) else [t]):
                    if isinstance(name, ast.Name) and name.id == '__all__': lines.append(ast.unparse(n))
                    elif isinstance(name, ast.Name): lines.append(f'{name.id}: {kind(n.value) if isinstance(t, ast.Name) else "Any"}')
    used = set(re.findall(r'\w+', '\n'.join(lines)))
    taken = {a.asname or a.name for n in imports for a in n.names}
    head = [f'from {module} import {name}' for module, name in (('contextlib', 'AbstractContextManager'), ('typing', 'Any')) if name in used - taken]
    for n in imports:
        n.names = [a for a in n.names if (a.asname or a.name).split('.')[0] in used]
        untyped = re.match(r'(from|import) (pandas|sklearn|fastcore|scipy|torchvision|ipywidgets|IPython|tqdm|ray)\b', ast.unparse(n)) if n.names else None
        if n.names: head.append(ast.unparse(n) + ('  # type: ignore' if untyped else ''))
    return '# Made from the module of this name by tests/make_stubs.py\n' + '\n'.join(head + lines) + '\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing, fail if something would change')
    args = parser.parse_args()
    package = ROOT/'softhebb_nb'
    wanted = {p.with_suffix('.pyi'): stub(p.read_text(encoding='utf-8')) for p in sorted(package.glob('*.py')) if p.name != '_modidx.py'}
    gone = set(package.glob('*.pyi')) - set(wanted)
    wrong = [p for p, text in wanted.items() if not p.exists() or p.read_text(encoding='utf-8') != text] + sorted(gone)
    if args.check:
        for p in wrong: print(f'{p.relative_to(ROOT)} is not what the module says; run: make export')
        return bool(wrong)
    for p in gone: p.unlink()
    for p in wrong:
        if p in wanted: p.write_text(wanted[p], encoding='utf-8')
    return False


if __name__ == '__main__': sys.exit(main())
