#!/usr/bin/env python3
"""Writes what the notebooks imply about the project's pages: README.md from nbs/index.ipynb, nbs/sidebar.yml, nbs/llms.txt,
and the two cells that open each notebook in Colab.

nbdev makes the first two, too, but one needs Quarto and the other knows no groups. `make export` runs this.

    python tests/make_docs.py               write what has changed
    python tests/make_docs.py --check       write nothing; show what would change, and fail if anything would
    python tests/make_docs.py --site _docs  after nbdev_docs: a page must load nothing from another host
"""
import argparse
import base64
import difflib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {'Learn': range(0, 20), 'Use': [*range(20, 30), *range(35, 60)], 'Study': range(30, 35)}  # title: numbers; studies/ ends the last
SITE = 'https://softhebb-nb.github.io/softhebb_nb'
COLAB = 'https://colab.research.google.com/github/softhebb-nb/softhebb_nb/blob/main/nbs'


def read_cells(notebook):
    "Type, source, directives and outputs of each cell that readers of the pages see."
    for cell in json.loads(notebook.read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        pairs = re.findall(r'^#\s*\|\s*([\w-]+)\s*:?[ \t]*(.*)$', source, re.MULTILINE) if cell['cell_type'] == 'code' else []
        directives = {name: value.strip().strip('"\'') for name, value in pairs}
        hidden = directives.keys() & {'hide', 'default_exp', 'export', 'exporti'} or directives.get('include') == 'false'
        if cell['cell_type'] == 'raw' or hidden: continue
        if pairs: source = re.sub(r'^#\s*\|.*\n?', '', source, flags=re.MULTILINE)
        yield cell['cell_type'], source.strip(), directives, cell.get('outputs', [])


def fenced(text, language=''):
    "A code block, in a fence longer than any in the text."
    fence = '`' * max(3, 1 + max(map(len, re.findall('`+', text)), default=0))
    return f'{fence}{language}\n{text.rstrip()}\n{fence}'


def relink(markdown):
    "Links that are relative to nbs/ made relative to the folder above it. Code stays as it is."
    def relative(match):
        before, target = match.groups()
        return match[0] if re.match(r'[a-z][a-z0-9+.-]*:|[#/]', target) else f'{before}nbs/{target}'
    parts = re.split(r'(^```.*?^```|`[^`\n]*`)', markdown, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r'(\]\(|\bsrc="|\bhref="|^\[[^\]]+\]: *)([^\s)"]+)', relative, text, flags=re.MULTILINE)
                  for text in parts[::2]]
    return ''.join(parts)


def readme(
    notebook,  # nbs/index.ipynb
):  # {path relative to the project: bytes}
    "README.md and the pictures that it shows."
    files, text = {}, ['<!-- Made from nbs/index.ipynb by `make export`: edit that. -->']
    for kind, source, directives, outputs in read_cells(notebook):
        if kind == 'markdown': text.append(relink(source))
        elif source and directives.get('echo') != 'false': text.append(fenced(source, 'python'))
        if directives.get('output') == 'false': continue
        for output in outputs:
            data = {key: value if isinstance(value, str) else ''.join(value) for key, value in output.get('data', {}).items()}
            if output['output_type'] == 'error': raise SystemExit(f"{notebook}: an error stands in its outputs: {output['ename']}")
            if output['output_type'] == 'stream': text.append(fenced(''.join(output['text'])))
            elif 'image/png' in data:
                path = f'nbs/images/index_{len(files) + 1}.png'
                files[path] = base64.b64decode(data['image/png'])
                text.append(f"![{directives.get('fig-alt') or directives.get('fig-cap') or 'Figure'}]({path})")
            elif 'text/markdown' in data: text.append(relink(data['text/markdown'].strip()))
            elif 'text/plain' in data: text.append(fenced(data['text/plain']))
    return {'README.md': ('\n\n'.join(text) + '\n').encode(), **files}


def contents(
    nbs,  # the folder of the notebooks
):  # [(title of the group or None, [paths relative to nbs])]
    "The site's pages in reading order: index, then the groups, the last of them with the studies."
    def number(path): return int(re.match(r'\d*', path.name)[0] or -1)
    top = sorted((path for path in nbs.glob('*.ipynb') if path.name[0] not in '_.'), key=lambda path: (path.stem != 'index', path.name))
    groups = [(None, [path.name for path in top if number(path) < 0])]
    for title, numbers in GROUPS.items(): groups.append((title, [path.name for path in top if number(path) in numbers]))
    groups[-1][1].extend(f'studies/{path.name}' for path in sorted(nbs.glob('studies/[!_.]*.ipynb')))
    return groups


def sidebar(
    nbs,  # the folder of the notebooks
):  # text of sidebar.yml
    "The contents as Quarto wants them."
    lines = ['website:', '  sidebar:', '    contents:']
    for title, names in contents(nbs):
        if title is None: lines += [f'      - {name}' for name in names]
        elif names: lines += [f'      - section: {title}', '        contents:', *(f'          - {name}' for name in names)]
    return '# Made from the notebooks in nbs/ by `make export`\n' + '\n'.join(lines) + '\n'


def llms(
    nbs,  # the folder of the notebooks
):  # text of llms.txt
    "The contents for language models (llmstxt.org): each page's address, title and sentence."
    def page(name):
        first = ''.join(json.loads((nbs/name).read_text(encoding='utf-8'))['cells'][0]['source'])
        title, sentence = (re.search(pattern, first, re.MULTILINE) for pattern in (r'^# (.+)$', r'^> (.+)$'))
        address = re.sub(r'(^|/)\d+_', r'\1', name.removesuffix('.ipynb'))
        return title and title[1].strip(), sentence[1].strip() if sentence else '', f'{SITE}/{address}.html'
    lines = []
    for group, names in contents(nbs):
        for name in names:
            title, sentence, address = page(name)
            if group is None: lines += [f'# {title}', '', f'> {sentence}']
            elif name == names[0]: lines += ['', f'## {group}', '', f'- [{title}]({address}): {sentence}']
            else: lines.append(f'- [{title}]({address}): {sentence}')
    return '\n'.join(lines) + '\n'


def colab(
    nbs,   # the folder of the notebooks
    name,  # of one, relative to it
):  # its bytes with the two cells that open it in Colab: a badge, and a hidden cell that installs the library
    "The notebook with a second cell that is a badge, and a third that only Colab runs."
    old = (nbs/name).read_text(encoding='utf-8')
    nb = json.loads(old)
    badge = f"[![Open in Colab]({'../' * name.count('/')}images/colab.svg)]({COLAB}/{name})"
    install = ['#| hide\n', '#| eval: false\n', '%pip install -q softhebb_nb nbdev']
    wanted = [dict(cell_type='markdown', id='colab-badge', metadata={}, source=[badge]),
              dict(cell_type='code', execution_count=None, id='colab-install', metadata={}, outputs=[], source=install)]
    made = ([badge], install)  # by what they hold: a tool that writes notebooks may have given them other ids
    rest = [cell for cell in nb['cells'] if list(cell['source']) not in made and cell.get('id') not in ('colab-badge', 'colab-install')]
    if nb['cells'] == (cells := [rest[0], *wanted, *rest[1:]]): return old.encode()
    nb['cells'] = cells
    return (json.dumps(nb, indent=1, sort_keys=True, ensure_ascii=False) + '\n').encode()


def generated(
    root,  # the project's folder
):  # {path relative to it: bytes, or None for a file that should go}
    "All files that this script makes, as they ought to be."
    nbs = root/'nbs'
    files = {'nbs/sidebar.yml': sidebar(nbs).encode(), 'nbs/llms.txt': llms(nbs).encode()}
    files.update({f'nbs/{name}': colab(nbs, name) for _, names in contents(nbs) for name in names if name != 'index.ipynb'})
    if (nbs/'index.ipynb').exists():
        files.update(readme(nbs/'index.ipynb'))
        files.update({f'nbs/images/{path.name}': None for path in nbs.glob('images/index_*.png')
                      if f'nbs/images/{path.name}' not in files})
    return files


def check_site(
    site,  # folder of HTML pages
):  # problems
    "Take out what Quarto adds for widgets (we have none), and list whatever else is loaded from another host."
    widgets = (r'<script[^>]*\bsrc="https://cdnjs\.cloudflare\.com/ajax/libs/(?:require\.js|jquery)/[^>]*></script>\s*'
               r"|<script[^>]*>define\('jquery'[^<]*</script>\s*")
    loads = r'<(?:script|img|iframe)[^>]*\bsrc="(?:https?:)?//|<link[^>]*rel="(?:stylesheet|preload)"[^>]*href="(?:https?:)?//|@import\s*(?:url\()?["\']?(?:https?:)?//'
    problems, pages = [], 0
    for path in sorted(site.rglob('*')):
        if path.suffix not in ('.html', '.css'): continue
        text = path.read_text(encoding='utf-8')
        if path.suffix == '.html':
            pages += 1
            text, found = re.subn(widgets, '', text)
            if found: path.write_text(text, encoding='utf-8')
        problems += [f'{path}: {text[match.start():match.start() + 160]!r}' for match in re.finditer(loads, text)]
    return problems if pages else [f'{site}: no page in it']


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing, fail if something would change')
    parser.add_argument('--site', type=Path, help='a built site to check instead')
    parser.add_argument('--root', type=Path, default=ROOT, help="the project's folder (default: this one)")
    args = parser.parse_args()
    if args.site:
        problems = check_site(args.site)
        if problems: print('loaded from another host, or missing:', *problems, sep='\n')
        return bool(problems)

    changed = False
    for name, new in generated(args.root).items():
        path = args.root/name
        old = path.read_bytes() if path.exists() else None
        if new == old: continue
        changed = True
        if args.check:
            print(f'{name} is not what the notebooks say')
            if not name.endswith(('.png', '.ipynb')):
                before, after = ((text or b'').decode().splitlines(keepends=True) for text in (old, new))
                sys.stdout.writelines(difflib.unified_diff(before, after, f'{name} as it is', f'{name} as it should be'))
        elif new is None: path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(new)
    if changed and args.check: print('\nrun: make export')
    return changed and args.check


if __name__ == '__main__': sys.exit(main())
