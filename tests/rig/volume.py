"""File systems of their own for real faults: ext4 and XFS in a file, mounted through a loop device; their power cut, and their
device made too small for what they promised.

    with Volume("ext4", place) as volume:           # Skipped, with the reason, where this machine does not allow it
        ...  volume.cut(); volume.mount_again()

The power cut is the ioctl FS_IOC_SHUTDOWN without a flush of the journal: from then on nothing reaches the device, and what
the page cache holds is gone with the mount. The image lies in memory (/dev/shm) where there is room.
"""
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

from rig.tally import Skipped

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
SIZES = {"ext4": 48 << 20, "xfs": 320 << 20}        # sparse; mkfs.xfs makes none smaller
MEMORY = "/dev/shm"


def base():
    """Where images are put."""
    return MEMORY if os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > 1 << 28 else None


def system(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise Skipped(f"{command[0]} is not installed") from None
    if done.returncode:
        raise Skipped(f"{' '.join(map(str, command[:2]))} is refused here: {done.stderr.strip()[-200:]}")


class Volume:
    def __init__(self, kind, place, image=None):
        self.kind, self.path, self.image = kind, Path(place) / kind, Path(image or place) / f"{kind}.image"
        self.mounted = False

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skipped("mounting takes root")
        self.path.mkdir(parents=True)
        with open(self.image, "wb") as image:
            image.truncate(SIZES[self.kind])
        system(f"mkfs.{self.kind}", "-q", self.image)
        try:
            self.mount()
        except BaseException:
            self.image.unlink()
            raise
        return self

    def __exit__(self, *error):
        self.unmount()
        self.image.unlink(missing_ok=True)

    def mount(self):
        system("mount", "-o", "loop", self.image, self.path)
        self.mounted = True

    def unmount(self):
        if self.mounted:
            self.mounted = False
            if subprocess.run(["umount", self.path], capture_output=True).returncode:
                subprocess.run(["umount", "-l", self.path], check=True, capture_output=True)

    def cut(self):
        """The power goes."""
        here = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(here, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            raise Skipped(f"{self.kind} does not know FS_IOC_SHUTDOWN here: {error}") from error
        finally:
            os.close(here)

    def mount_again(self):
        """Only what the device has is seen from now on."""
        self.unmount()
        self.mount()


class ThinVolume(Volume):
    """A file system on a device that has not the room it promised: writes to the page cache succeed, their sync fails.

    The loop driver takes a write that its file cut short for a whole one, and so would lose bytes in silence, which no store
    can notice: so no request may be larger than a page, which is taken whole or not at all.
    """

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skipped("mounting takes root")
        self.under = self.path.parent / "under"
        self.under.mkdir(parents=True)
        system("mount", "-t", "tmpfs", "-o", f"size={SIZES[self.kind]}", "tmpfs", self.under)
        self.image = self.under / self.image.name
        try:
            return super().__enter__()
        except BaseException:
            system("umount", self.under)
            raise

    def mount(self):
        super().mount()
        device = os.stat(self.path).st_dev
        try:
            Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/queue/max_sectors_kb").write_text("4")
        except OSError as error:
            raise Skipped(f"the loop device cannot be told to write page by page: {error}") from error

    def leave_room(self, size):
        """From now on the device takes so many bytes more. The caller has synced what it has."""
        with open(self.under / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(self.under).free - size)

    def make_room(self):
        os.unlink(self.under / "filler")

    def __exit__(self, *error):
        super().__exit__(*error)
        subprocess.run(["umount", "-l", self.under], check=True, capture_output=True)
