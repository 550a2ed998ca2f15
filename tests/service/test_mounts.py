import os
from pathlib import Path

import pytest

from cmt_bridge.service.mounts import is_remote

pytestmark = pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="only Linux has this table")

TABLE = """\
22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
90 28 0:52 / /mnt/with\\040space\\040-\\040dash rw,relatime shared:60 - nfs4 server:/films rw,vers=4.2
91 28 0:53 / /home/me/films rw,nosuid,nodev shared:61 - fuse.sshfs me@server: rw
92 28 8:17 / /media/disk rw,nosuid,nodev - fuseblk /dev/sdb1 rw
"""


@pytest.mark.parametrize(("device", "remote"), [((8, 1), False), ((0, 52), True), ((0, 53), True), ((8, 17), False)])
def test_the_table_of_mounts_tells_what_is_remote(tmp_path: Path, device: tuple[int, int], remote: bool) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert is_remote(os.makedev(*device), table) is remote


def test_what_is_not_in_the_table_is_local(tmp_path: Path) -> None:
    assert not is_remote(12345, tmp_path / "missing")
    assert not is_remote(Path("/proc").stat().st_dev)
