"""The log is in the data folder, for its owner only, and never on the terminal."""

from __future__ import annotations

import logging
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import log_file
from pipelines.paths import HomePaths


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def paths(tmp_path: Path) -> HomePaths:
    return HomePaths(tmp_path / "home")


@pytest.mark.usefixtures("root_logger")
def test_nothing_is_made_before_the_first_line(paths: HomePaths) -> None:
    log_file.start(paths)
    assert not paths.root.exists()


@pytest.mark.usefixtures("root_logger")
def test_lines_and_warnings_go_to_a_private_file(paths: HomePaths, capsys: pytest.CaptureFixture[str]) -> None:
    log_file.start(paths)
    log_file.start(paths)
    logging.getLogger("engine").info("loaded in %d s", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # catch_warnings put the printing one back
        warnings.warn("old call", DeprecationWarning, stacklevel=1)

    text = paths.log_file.read_text()
    assert text.count("INFO engine: loaded in 3 s") == 1
    assert "DeprecationWarning: old call" in text
    assert stat.S_IMODE(paths.log_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.root.stat().st_mode) == 0o700
    assert capsys.readouterr() == ("", "")


def test_a_name_that_is_no_unicode_is_escaped(paths: HomePaths) -> None:
    # Straight to the handler: pytest passes captured records on, and this one cannot be passed on.
    handler = log_file.PrivateLogHandler(paths)
    handler.handle(logging.makeLogRecord({"msg": "cannot read \udcff.txt"}))
    handler.close()
    assert paths.log_file.read_text() == "cannot read \\udcff.txt\n"


def test_a_full_log_starts_a_new_file(paths: HomePaths, root_logger: logging.Logger) -> None:
    log_file.start(paths)
    for _ in range(3):
        root_logger.warning("x" * (log_file.MAX_BYTES // 2))
    assert sorted(each.name for each in paths.root.iterdir()) == ["homebody.log", "homebody.log.1"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in paths.root.iterdir()} == {0o600}


def test_a_log_that_cannot_be_written_stops_nobody(
    tmp_path: Path, root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    log_file.start(HomePaths(tmp_path / "file" / "home"))
    root_logger.warning("nowhere to go")
    assert capsys.readouterr() == ("", "")
