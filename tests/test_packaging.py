"""The wheel carries the bundled networks and machines."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import hatchling.build
import pytest
from conftest import ROOT

from perfsim import catalog


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        name = hatchling.build.build_wheel(str(folder))
    finally:
        os.chdir(before)
    return zipfile.ZipFile(folder / name)


def test_the_wheel_carries_what_is_bundled(wheel):
    names = set(wheel.namelist())
    for path in catalog.bundled_networks().values():
        assert f"perfsim/models/{path.name}" in names
    for path in catalog.bundled_machines().values():
        assert f"perfsim/hardware_profiles/{path.name}" in names
    for path in (ROOT / "perfsim/report/page_files").iterdir():
        assert f"perfsim/report/page_files/{path.name}" in names
    assert "perfsim/py.typed" in names


def test_the_wheel_is_small_and_carries_nothing_else(wheel):
    assert sum(item.compress_size for item in wheel.infolist()) < 700_000
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"perfsim"}


def test_an_installed_program_looks_inside_its_package(tmp_path, monkeypatch):
    """As after `pip install`: the folders lie in the package and not beside it."""
    package = tmp_path / "site-packages" / "perfsim"
    for folder, name in (("models", "a.yaml"), ("hardware_profiles", "b.yaml")):
        (package / folder).mkdir(parents=True)
        (package / folder / name).touch()
    monkeypatch.setattr(catalog, "_PACKAGE", package)
    assert list(catalog.bundled_networks()) == ["a"]
    assert list(catalog.bundled_machines()) == ["b"]
