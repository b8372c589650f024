"""Following a log file that the real `LogFile` rotates: each line once, in order, from a saved position."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from chatd.logs.logfiles import LogFile
from chatd.shipping.log_follower import LogFollower, LogPosition


def writer(path: Path, *, max_bytes: int = 50, backups: int = 3) -> LogFile:
    return LogFile(
        path, max_bytes, backups, lambda count: b"dropped\n", clock=itertools.count(step=10).__next__
    )


def lines(first: int, last: int) -> list[bytes]:
    return [b"line %04d" % number for number in range(first, last)]


def write(file: LogFile, first: int, last: int) -> None:
    for line in lines(first, last):
        file.write(line + b"\n")
    assert not file.dropped


def read_all(follower: LogFollower) -> list[bytes]:
    """Read until nothing has come three times: a rotated file takes a read to leave."""
    found, silent = [], 0
    while silent < 8:
        some = follower.read()
        found += some
        silent = 0 if some else silent + 1
    return found


def test_a_file_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path / "server.log")
    assert read_all(follower) == []
    assert follower.position is None
    write(writer(tmp_path / "server.log"), 0, 2)
    assert read_all(follower) == lines(0, 2)


@pytest.mark.parametrize("burst", [1, 4, 5, 9, 11])
def test_lines_are_followed_through_rotations(tmp_path: Path, burst: int) -> None:
    file, follower = writer(tmp_path / "server.log"), LogFollower(tmp_path / "server.log")
    found: list[bytes] = []
    for first in range(0, 100, burst):
        write(file, first, first + burst)
        found += read_all(follower)
    assert found == lines(0, first + burst)
    assert follower.skipped == 0


@pytest.mark.parametrize("written", [0, 1, 7, 15])
def test_a_position_outlives_the_process(tmp_path: Path, written: int) -> None:
    path = tmp_path / "server.log"
    file, follower = writer(path), LogFollower(path)
    write(file, 0, 7)
    assert read_all(follower) == lines(0, 7)
    position = follower.position
    assert position is not None
    follower.close()
    write(file, 7, 7 + written)
    again = LogFollower(path, LogPosition.from_json(position.to_json()))
    assert read_all(again) == lines(7, 7 + written)
    assert again.skipped == 0


def test_lines_that_were_rotated_away_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    file, follower = writer(path), LogFollower(path)
    write(file, 0, 3)
    read_all(follower)
    position = follower.position
    follower.close()
    write(file, 3, 103)
    again = LogFollower(path, position)
    found = read_all(again)
    assert again.skipped == 1
    assert found == lines(103 - len(found), 103)
    assert len(found) >= 15


def test_an_open_file_is_read_to_its_end_although_it_was_rotated_away(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    file, follower = writer(path), LogFollower(path)
    write(file, 0, 2)
    assert follower.read() == lines(0, 2)
    write(file, 2, 103)
    found = read_all(follower)
    assert found[:3] == lines(2, 5)  # the rest of the file that was open
    assert follower.skipped == 1
    assert found[-1] == b"line 0102"


def test_a_file_with_the_inode_of_a_former_one_is_another(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(b"first\n")
    follower = LogFollower(path)
    assert read_all(follower) == [b"first"]
    position = follower.position
    follower.close()
    path.write_bytes(b"other\nmore\n")  # the same inode
    again = LogFollower(path, position)
    assert read_all(again) == [b"other", b"more"]
    assert again.skipped == 1


def test_a_file_that_was_cut_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(b"first\nsecond\n")
    follower = LogFollower(path)
    assert read_all(follower) == [b"first", b"second"]
    path.write_bytes(b"new\n")
    assert read_all(follower) == [b"new"]
    assert follower.skipped == 1


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(b"whole\nha")
    follower = LogFollower(path)
    assert read_all(follower) == [b"whole"]
    with path.open("ab") as file:
        file.write(b"lf\n")
    assert read_all(follower) == [b"half"]
