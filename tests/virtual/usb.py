"""A USB bus in software, with one virtual reader that pcscd sees being plugged in and pulled out.

pcscd knows of USB readers from udev.  What udev tells it is files under /sys and datagrams on a netlink group, so a
mount namespace with a /sys of our own and a network namespace without anybody else is a bus (libudev of systemd;
sd-device's environment variable SYSTEMD_DEVICE_VERIFY_SYSFS allows a /sys on another file system).

A datagram is a header and properties, each ended by NUL::

    "libudev" 00 | FEEDCAFE big endian | header size u32 | offset u32 and length u32 of the properties
    | hash of the subsystem, of the device type, and of the tags (two words): u32 big endian | KEY=value 00 ..

vpcd's driver is not made for USB: it would take the name pcscd gives such a reader for the name of a host.  In the copy
used here the function that takes a name is called otherwise, so that pcscd hands it a channel number in its place, and
it listens at a port of the kernel's choice (slot 0) and at port 1 (slot 1).  So there is room for one such reader.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000
NETLINK_KOBJECT_UEVENT = 15
UDEV_GROUP = 2
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41

VENDOR, PRODUCT = "2101", "0001"
DEVICE = "usb1"
INTERFACE = "1-1:1.0"
SECOND_SLOT = 1
"""The port of the second slot."""

INFO = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>CFBundleExecutable</key><string>libifdvpcd.so</string>
<key>ifdVendorID</key><array><string>0x{vendor}</string></array>
<key>ifdProductID</key><array><string>0x{product}</string></array>
<key>ifdFriendlyName</key><array><string>{name}</string></array>
</dict></plist>
"""

T = TypeVar("T")


def available() -> str | None:
    """Why no reader can be plugged in and out here, in one sentence, or None."""
    if os.geteuid() != 0:
        return "only root can make a network namespace and work in it: no virtual reader to plug in and out"
    return None


class UsbBus:
    """The bus, in a network of its own.

    Args:
        folder: becomes ``sys`` and ``drivers`` of pcscd's.
        name: what the reader calls itself.
        driver: vpcd's.
    """

    def __init__(self, folder: Path, name: str, driver: Path) -> None:
        self.sys, self.drivers = folder / "sys", folder / "drivers"
        self.name = name
        self.serial: str | None = None
        """Of the reader that is plugged in; None: none is."""
        self._events = 0
        (self.sys / "bus/usb/devices").mkdir(parents=True)
        (self.sys / "devices").mkdir()
        bundle = self.drivers / "vpcd.bundle/Contents"
        (bundle / "Linux").mkdir(parents=True)
        (bundle / "Info.plist").write_text(INFO.format(vendor=VENDOR, product=PRODUCT, name=name))
        by_name = b"IFDHCreateChannelByName\0"
        (bundle / "Linux/libifdvpcd.so").write_bytes(driver.read_bytes().replace(by_name, b"X" + by_name[1:]))
        self.network, self._netlink = _elsewhere(_make_network)

    def close(self) -> None:
        """Give the network back."""
        self._netlink.close()
        os.close(self.network)

    def plug(self, serial: str) -> None:
        """Plug the reader in and let udev tell of it; an empty serial number is none."""
        device = self.sys / "devices" / DEVICE
        interface = device / INTERFACE
        interface.mkdir(parents=True)
        for each in (device, interface):
            (each / "subsystem").symlink_to("/sys/bus/usb")
        (device / "uevent").write_text("MAJOR=189\nMINOR=1\nDEVNAME=bus/usb/001/002\nDEVTYPE=usb_device\n")
        (device / "idVendor").write_text(f"{VENDOR}\n")
        (device / "idProduct").write_text(f"{PRODUCT}\n")
        if serial:
            (device / "serial").write_text(f"{serial}\n")
        (interface / "uevent").write_text("DEVTYPE=usb_interface\n")
        (interface / "bInterfaceNumber").write_text("00\n")
        (self.sys / "bus/usb/devices" / DEVICE).symlink_to(f"../../../devices/{DEVICE}")
        (self.sys / "bus/usb/devices" / INTERFACE).symlink_to(f"../../../devices/{DEVICE}/{INTERFACE}")
        self.serial = serial
        self._tell("add")

    def unplug(self) -> None:
        """Pull the reader out and let udev tell of it."""
        for each in (DEVICE, INTERFACE):
            (self.sys / "bus/usb/devices" / each).unlink()
        shutil.rmtree(self.sys / "devices" / DEVICE)
        self.serial = None
        self._tell("remove")

    def _tell(self, action: str) -> None:
        self._events += 1
        properties = {
            "ACTION": action,
            "DEVPATH": f"/devices/{DEVICE}/{INTERFACE}",
            "SUBSYSTEM": "usb",
            "DEVTYPE": "usb_interface",
            "SEQNUM": str(self._events),
            "USEC_INITIALIZED": "1",
        }
        body = b"".join(f"{key}={value}\0".encode() for key, value in properties.items())
        hashes = struct.pack(">IIII", _murmur_2(b"usb"), _murmur_2(b"usb_interface"), 0, 0)
        header = b"libudev\0" + struct.pack(">I", 0xFEEDCAFE) + struct.pack("=III", 40, 40, len(body)) + hashes
        try:
            self._netlink.sendto(header + body, (0, UDEV_GROUP))
        except ConnectionRefusedError:  # nobody listens: pcscd is down, and will look at /sys when it starts
            return


def socket_in(network: int) -> socket.socket:
    """A TCP socket that belongs to another network namespace."""

    def make() -> socket.socket:
        _call("setns", network, CLONE_NEWNET)
        return socket.socket()

    return _elsewhere(make)


def _make_network() -> tuple[int, socket.socket]:
    _call("unshare", CLONE_NEWNET)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)
    netlink.bind((0, 0))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), netlink


def _elsewhere(function: Callable[[], T]) -> T:
    """Run it in a thread that ends with it, for it changes what it belongs to."""
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(function())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="another network")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _murmur_2(text: bytes) -> int:
    """MurmurHash2 with seed 0, by which libudev's listeners sort datagrams out."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = len(text)
    whole = len(text) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(text[at : at + 4], "little") * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = value * factor & mask ^ word
    if text[whole:]:
        value = (value ^ int.from_bytes(text[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15
