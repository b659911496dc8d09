# SPDX-License-Identifier: BSD-3-Clause
"""What is no good snapshot is refused with a clear text, by the API and by the command, never with a traceback."""
import os
import random
import struct

import h5py
import numpy as np
import pytest

import make
import wavecut
from conftest import field
from wavecut.report.command import main


def text_file(path):
    path.write_text("not HDF5")


def empty(path):
    path.write_bytes(b"")


def other_hdf5(path):
    with h5py.File(path, "w", libver="v108") as file:
        file["x"] = np.arange(10)


def cut_off(path):
    make.write(path)
    os.truncate(path, os.path.getsize(path) // 2)


def cut_off_a_little(path):
    make.write(path)
    os.truncate(path, os.path.getsize(path) - 8)


def newer(path):
    make.write(path, version=3)


def change_byte(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def changed_metadata(path):
    make.write(path)
    change_byte(path, 60)


def changed_table(path):
    make.write(path)
    with h5py.File(path) as file:
        offset = file["ranks"].id.get_offset()
    change_byte(path, offset + 30)


def changed_trailer(path):
    make.write(path)
    change_byte(path, os.path.getsize(path) - 40)


def huge_trailer(path):
    make.write(path)
    with open(path, "r+b") as file:
        file.seek(-8, 2)
        file.write(struct.pack("<Q", 2**64 - 8))


def long_trailer(path):
    """As long as the file, which takes no space on the disk."""
    make.write(path)
    with open(path, "r+b") as file:
        data = file.read()
        os.truncate(path, 8 << 30)
        file.seek(0)
        file.write(b"WAVECUT\x1a" + data[8:])
        file.seek(-8, 2)
        file.write(struct.pack("<Q", 8 << 30))


def without(name):
    def write(path):
        make.write(path, change=lambda file: file.__delitem__(name))
    write.__name__ = f"without_{name.replace('/', '_')}"
    return write


def link_elsewhere(path):
    def change(file):
        del file["ranks"]
        file["ranks"] = h5py.ExternalLink("/etc/passwd", "/ranks")
    make.write(path, change=change)


def stored_elsewhere(path):
    def change(file):
        del file["state/step"]
        file.create_dataset("state/step", (3,), "u1", external=[("/etc/passwd", 0, 3)])
    make.write(path, change=change)


def ranks_that_lie(path):
    make.write(path, change=lambda file: file.attrs.modify("ranks", np.uint64(2**60)))


def rank_that_does_not_exist(path):
    make.write(path, counters=[(1, 0, 77, 1, 1, 0)])


def text_for_a_number(path):
    make.write(path, change=lambda file: file.attrs.__setitem__("id", "seven"))


BAD = [(text_file, wavecut.NotASnapshot, "not an HDF5 file"), (empty, wavecut.NotASnapshot, "empty"),
       (other_hdf5, wavecut.NotASnapshot, "of another program"), (cut_off, wavecut.Unfinished, "cut off"),
       (cut_off_a_little, wavecut.Error, "without the trailer|damaged"), (newer, wavecut.NewerFormat, "format 3, and this version reads up to 2"),
       (changed_metadata, wavecut.Damaged, "metadata are damaged"), (changed_table, wavecut.Damaged, "a table is damaged"),
       (changed_trailer, wavecut.Damaged, "trailer is damaged"), (huge_trailer, wavecut.NotASnapshot, "without the trailer"),
       (long_trailer, wavecut.Damaged, "too long"),
       (without("ranks"), wavecut.Damaged, "no /ranks"), (without("state"), wavecut.Damaged, "not what a snapshot should be"),
       (without("channels/counters"), wavecut.Damaged, "no /channels/counters"), (link_elsewhere, wavecut.Damaged, "no /ranks"),
       (stored_elsewhere, wavecut.Damaged, "in a way that no snapshot uses"), (ranks_that_lie, wavecut.Damaged, "does not fit it"),
       (rank_that_does_not_exist, wavecut.Damaged, "a rank that does not exist"), (text_for_a_number, wavecut.Damaged, "not what a snapshot")]


def read_all(path):
    with wavecut.open(path) as snapshot:
        for name in snapshot:
            snapshot[name].of(0)
        return snapshot.ranks, snapshot.channels, snapshot.messages, snapshot.communicators, snapshot.trace


@pytest.mark.parametrize("write, error, words", BAD, ids=[row[0].__name__ for row in BAD])
def test_bad(tmp_path, capsys, write, error, words):
    path = tmp_path / "wavecut-000001.h5"
    write(path)
    with pytest.raises(error, match=words) as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    assert main([str(tmp_path), "-o", str(tmp_path / "page.html")]) == 1
    page = (tmp_path / "page.html").read_text()
    assert "class=\"alarm\"" in page and "wavecut-000001.h5" in page
    assert "1 of 1 snapshot can't be used" in capsys.readouterr().err
    assert main([str(path), "-o", "/dev/null"]) == 1
    assert str(path) in capsys.readouterr().err


def test_any_bytes_in_any_dataset(tmp_path):
    """What changes a dataset and makes the hashes anew gets a page, with whatever on it."""
    source = make.write(tmp_path / "source.h5", **make.notes().contents(), state={"u": make.rows(field(1), 3), "p": [np.arange(5.0)] * 3})
    with open(source, "rb") as file:
        data = file.read()
    end = len(data) - struct.unpack("<Q", data[-8:])[0]
    with h5py.File(source) as file:
        spans = [(d.id.get_offset(), d.id.get_storage_size()) for d in make.datasets(file) if d.id.get_offset()]
    (tmp_path / "ckpt").mkdir()
    for seed in range(2000 if os.environ.get("TESTS_FULL") else 40):
        choose, changed = random.Random(seed), bytearray(data[:end])
        for _ in range(choose.randrange(1, 6)):
            offset, size = choose.choice(spans)
            at = offset + choose.randrange(size)
            width = min(choose.choice((1, 4, 8)), offset + size - at)
            value = choose.choice((0, 1, 255, 2**31, 2**32 - 1, 2**63, 2**64 - 1, choose.getrandbits(64)))
            changed[at:at + width] = struct.pack("<Q", value)[:width]
        (tmp_path / "ckpt/wavecut-000001.h5").write_bytes(changed[:end])
        make.seal(tmp_path / "ckpt/wavecut-000001.h5")
        assert main([str(tmp_path / "ckpt"), "-o", str(tmp_path / "page.html")]) in (0, 1), seed


def test_a_good_one_beside_a_bad_one(tmp_path):
    make.write(tmp_path / "wavecut-000001.h5", id=1)
    text_file(tmp_path / "wavecut-000002.h5")
    page = tmp_path / "page.html"
    assert main([str(tmp_path), "-o", str(page)]) == 1
    assert "1 of 2 snapshots can't be used" in page.read_text().replace("&#x27;", "'") and 'id="snapshot-1"' in page.read_text()


def test_not_found(tmp_path, capsys):
    assert main([str(tmp_path / "nothing"), "-o", str(tmp_path / "page.html")]) == 3
    assert "there is no such file" in capsys.readouterr().err
    assert main([str(tmp_path), "-o", str(tmp_path / "page.html")]) == 3
    assert "there is no snapshot in it" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_no_permission(tmp_path, capsys):
    path = tmp_path / "wavecut-000001.h5"
    make.write(path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read anything
    try:
        with pytest.raises(wavecut.NotReadable, match="no permission"):
            wavecut.open(path)
        assert main([str(path), "-o", "/dev/null"]) == 4 and "no permission" in capsys.readouterr().err
    finally:
        os.seteuid(user)


def test_page_that_can_not_be_written(run, tmp_path, capsys):
    assert main([str(run), "-o", str(tmp_path / "no/page.html")]) == 4
    assert "No such file or directory" in capsys.readouterr().err
    with pytest.raises(SystemExit) as wrong:
        main(["--unknown"])
    assert wrong.value.code == 2
