"Installs softhebb_nb; everything it knows stands in settings.ini."
import re
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

config = ConfigParser(delimiters=['='])
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']


def readme():
    "README.md with whole addresses, since PyPI shows it far from the files that it links to and draws."
    text = Path('README.md').read_text(encoding='utf-8')
    raw = cfg['git_url'].replace('github.com', 'raw.githubusercontent.com') + f"/{cfg['branch']}/"
    text = re.sub(r'(!\[[^\]]*\]\()(?![a-z]+:|#)', rf'\g<1>{raw}', text)
    return re.sub(r'(?<!!)(\[[^\]]*\]\()(?![a-z]+:|#)', rf"\g<1>{cfg['git_url']}/blob/{cfg['branch']}/", text)


extras = {name[:-len('_requirements')]: cfg[name].split() for name in cfg if name.endswith('_requirements')}

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=readme(),
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    license='Apache-2.0',
    keywords=cfg['keywords'],
    packages=find_packages(include=[cfg['lib_name'], cfg['lib_name'] + '.*']),
    include_package_data=True,
    package_data={cfg['lib_name']: ['py.typed', '*.pyi']},
    python_requires='>=' + cfg['min_python'],
    install_requires=cfg['requirements'].split(),
    extras_require=extras,
    entry_points={
        'console_scripts': cfg['console_scripts'].split(),
        'nbdev': [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ] + [f'Programming Language :: Python :: 3.{minor}' for minor in (10, 11, 12, 13)],
)
