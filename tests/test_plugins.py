from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from encoder_bridge import plugins
from encoder_bridge.driver import PORT
from encoder_bridge.plugins import LoadStatus

GOOD = """
class Driver:
    port = ({major}, {minor})
    def check(self, settings, secret): pass
    async def discover(self, settings, secret): return ()
    def open(self, settings, secret): raise NotImplementedError
driver = Driver()
"""

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lay an installed distribution with one driver on the path; gives the module's name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)

    def install(
        distribution: str, source: str, *, name: str = "acme", target: str = "driver", version: str = "1.2"
    ) -> str:
        module = f"fake_{distribution.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(source)
        about = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (about / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {module}:{target}\n")
        return module

    yield install
    for module in set(sys.modules) - known:
        del sys.modules[module]


def good(major: int = PORT[0], minor: int = PORT[1]) -> str:
    return GOOD.format(major=major, minor=minor)


def test_a_strangers_driver_is_found_without_being_imported(install: Install) -> None:
    module = install("acme-locks", good())
    (claim,) = plugins.find()["acme"]
    assert (claim.distribution, claim.version) == ("acme-locks", "1.2")
    assert module not in sys.modules


def test_a_good_driver_is_usable(install: Install) -> None:
    install("acme-locks", good())
    loaded = plugins.load("acme")
    assert loaded.status is LoadStatus.USABLE
    assert loaded.driver is not None
    assert loaded.driver.port == PORT
    assert (loaded.distribution, loaded.version) == ("acme-locks", "1.2")
    assert loaded.sentence == "The driver 'acme' of acme-locks 1.2 is usable."


def test_the_bundled_driver_is_found_like_a_strangers() -> None:
    loaded = plugins.load("simulated")
    assert loaded.status is LoadStatus.USABLE
    assert loaded.distribution == "encoder-bridge"


def test_a_missing_driver_is_told_with_the_nearest_name(install: Install) -> None:
    install("acme-locks", good())
    loaded = plugins.load("acne")
    assert loaded.status is LoadStatus.MISSING
    assert loaded.driver is None
    assert loaded.sentence == "No driver 'acne' is installed: did you mean 'acme'?"
    assert plugins.load("zzz").sentence == "No driver 'zzz' is installed: install the package that brings it."


def test_two_packages_that_claim_one_name_are_both_refused(install: Install) -> None:
    modules = [install("acme-locks", good()), install("other-locks", good(), version="7")]
    loaded = plugins.load("acme")
    assert loaded.status is LoadStatus.DUPLICATE
    assert loaded.driver is None
    assert loaded.sentence == (
        "The driver 'acme' is claimed by acme-locks 1.2 and other-locks 7: uninstall all but one."
    )
    assert not set(modules) & set(sys.modules)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_library_x", "ModuleNotFoundError: No module named 'no_such_library_x'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise RuntimeError", "RuntimeError"),
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first"),
        ("driver = (", "SyntaxError"),
        ("other = 1", "AttributeError"),
        ("class D:\n  @property\n  def port(self): raise ValueError('late')\ndriver = D()", "ValueError: late"),
    ],
)
def test_a_package_that_cannot_be_imported_ends_in_a_status(install: Install, source: str, why: str) -> None:
    install("acme-locks", source)
    loaded = plugins.load("acme")
    assert loaded.status is LoadStatus.LOAD_ERROR
    assert loaded.driver is None
    assert loaded.sentence.startswith(f"The driver 'acme' of acme-locks 1.2 cannot be loaded ({why}")
    assert "\n" not in loaded.sentence


def test_an_interrupt_is_the_persons_and_goes_through(install: Install) -> None:
    install("acme-locks", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        plugins.load("acme")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("driver = None", "is without check, discover, open"),
        (good() + "driver.open = 3", "is without open"),
        (good() + "driver = Driver", "is a class"),
        (good() + "Driver.port = '1.0'", "is without a port version"),
        (good() + "Driver.port = (1,)", "is without a port version"),
        (good() + "Driver.port = (True, False)", "is without a port version"),
        (good() + "del Driver.port", "is without a port version"),
    ],
)
def test_what_is_no_driver_is_refused(install: Install, source: str, why: str) -> None:
    install("acme-locks", source)
    loaded = plugins.load("acme")
    assert loaded.status is LoadStatus.NOT_A_DRIVER
    assert loaded.driver is None
    assert f"fake_acme_locks:driver {why}" in loaded.sentence


@pytest.mark.parametrize(
    ("port", "update"),
    [
        ((PORT[0] - 1, 0), "the driver"),
        ((PORT[0] + 1, 0), "encoder-bridge"),
        ((PORT[0], PORT[1] + 1), "encoder-bridge"),
    ],
)
def test_another_port_is_refused_with_both_versions(install: Install, port: tuple[int, int], update: str) -> None:
    install("acme-locks", good(*port))
    loaded = plugins.load("acme")
    assert loaded.status is LoadStatus.WRONG_PORT
    assert loaded.driver is None
    assert loaded.sentence == (
        f"The driver 'acme' of acme-locks 1.2 was built for driver port {port[0]}.{port[1]} "
        f"and this program offers {PORT[0]}.{PORT[1]}: update {update}."
    )


def test_all_drivers_are_loaded_whatever_one_of_them_does(install: Install) -> None:
    install("acme-locks", "raise SystemExit")
    install("beta-locks", good(), name="beta")
    statuses = {loaded.name: loaded.status for loaded in plugins.load_all()}
    assert statuses["acme"] is LoadStatus.LOAD_ERROR
    assert statuses["beta"] is LoadStatus.USABLE
    assert statuses["simulated"] is LoadStatus.USABLE
    assert list(statuses) == sorted(statuses)
