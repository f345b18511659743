"""The contract of ``Driver``: the console of a machine, and accounts inside its guest."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.driver_contract_steps import BOTH, CONFIG, LIVE, Steps

PASSWORD = "staple-8"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKsEbH3dXN0x root@node22"


class GuestContract:
    def console(self, does: Steps) -> str:
        (console,) = does.devices("graphics")
        return str(console["_type"])

    def restart(self, does: Steps) -> None:
        does.vm("StopVM")
        does.vm("StartVM")

    # The console

    def test_a_new_console_waits_for_the_next_start(self, running: Steps) -> None:
        running.vm("UpdateGraphic", type="spice", password=PASSWORD)
        assert self.console(running) == "vnc"
        self.restart(running)
        assert self.console(running) == "spice"
        assert running.devices("graphics")[0]["_port"] >= 5900

    def test_a_new_console_is_there_at_once_when_the_machine_is_off(self, stopped: Steps) -> None:
        stopped.vm("UpdateGraphic", type="spice", no_password=True)
        assert self.console(stopped) == "spice"

    def test_a_console_with_usb_redirection_stays_spice(self, stopped: Steps) -> None:
        stopped.vm("UpdateGraphic", type="spice")
        stopped.vm("RedirectUsb", action="on")
        with stopped.refused("LibvirtError", "web-1", "spice"):
            stopped.vm("UpdateGraphic", type="vnc")
        stopped.vm("RedirectUsb", action="off")
        stopped.vm("UpdateGraphic", type="vnc")

    @pytest.mark.parametrize("flags", [{}, LIVE, BOTH, {"persistent": True}])
    def test_a_running_console_takes_another_password_and_asks_on(self, running: Steps, flags: dict[str, Any]) -> None:
        before = running.everything()
        running.vm("SetVncPassword", password=PASSWORD, **flags)
        with running.refused("LibvirtError", "web-1", "next start"):
            running.vm("UnsetVncPassword", **flags)
        assert running.everything() == before

    def test_a_console_asks_for_a_password_or_none_from_the_next_start(self, running: Steps) -> None:
        for _ in range(2):
            running.vm("UnsetVncPassword", **CONFIG)
        running.vm("SetVncPassword", password=PASSWORD, **LIVE)
        running.vm("StopVMForce")
        running.vm("StartVM")
        running.vm("UnsetVncPassword", **BOTH)
        with running.refused("LibvirtError", "web-1", "next start"):
            running.vm("SetVncPassword", password=PASSWORD, **BOTH)
        running.vm("SetVncPassword", password=PASSWORD, **CONFIG)
        running.vm("StopVMForce")
        running.vm("StartVM")
        running.vm("SetVncPassword", password="horse-12", **BOTH)

    def test_a_vnc_password_has_eight_characters_at_most(self, running: Steps) -> None:
        for operation, given in (("SetVncPassword", {}), ("UpdateGraphic", {"type": "vnc"})):
            with running.refused("LibvirtError", "8"):
                running.vm(operation, password="battery-staple", **given, **CONFIG)

    def test_a_vnc_password_needs_a_vnc_console(self, running: Steps) -> None:
        running.vm("UpdateGraphic", type="spice")
        running.vm("SetVncPassword", password=PASSWORD, **LIVE)
        for operation, given in (("SetVncPassword", {"password": PASSWORD}), ("UnsetVncPassword", {})):
            with running.refused("LibvirtError", "web-1", "vnc"):
                running.vm(operation, **given, **CONFIG)

    def test_a_vnc_password_is_not_set_live_on_a_machine_that_is_off(self, stopped: Steps) -> None:
        with stopped.refused("LibvirtError", "not running"):
            stopped.vm("SetVncPassword", password=PASSWORD, **LIVE)

    # Accounts

    @pytest.mark.parametrize(
        ("operation", "given"), [("SetGuestPassword", {"password": PASSWORD}), ("InjectSshKey", {"ssh_key": KEY})]
    )
    def test_an_account_of_a_linux_guest_is_reached_running_or_off(
        self, running: Steps, operation: str, given: dict[str, str]
    ) -> None:
        account = {"os_type": "linux", "user": "root", **given}
        before = running.everything()
        running.vm(operation, **account)
        assert running.everything() == before
        running.vm("SuspendVM")
        with running.refused("LibvirtError", "web-1", "paused"):
            running.vm(operation, **account)
        running.vm("StopVMForce")
        running.vm(operation, **account)

    def test_an_account_of_a_windows_guest_is_reached_while_it_runs(self, does: Steps) -> None:
        account = {"os_type": "windows", "user": "administrator", "password": PASSWORD}
        does.pool()
        does.machine(os_variant="win10")
        does.vm("SetGuestPassword", **account)
        does.vm("StopVM")
        with does.refused("LibvirtError", "not running"):
            does.vm("SetGuestPassword", **account)

    @pytest.mark.parametrize(("os_type", "os_variant"), [("windows", "debian12"), ("linux", "win10")])
    def test_a_guest_is_of_the_family_that_is_named(self, does: Steps, os_type: str, os_variant: str) -> None:
        does.pool()
        does.machine(os_variant=os_variant)
        with does.refused("Exception", "web-1", os_type):
            does.vm("SetGuestPassword", os_type=os_type, user="root", password=PASSWORD)

    def test_no_refusal_tells_a_password(self, does: Steps) -> None:
        does.pool()
        does.machine(os_variant="win10")
        does.vm("UpdateGraphic", type="spice")
        for operation, given in (
            ("SetVncPassword", {**CONFIG}),
            ("SetGuestPassword", {"os_type": "linux", "user": "root"}),
        ):
            with pytest.raises(Exception, match="web-1") as caught:
                does.vm(operation, password=PASSWORD, **given)
            assert PASSWORD not in str(caught.value)
