"""Cloud-init seeds: API sections 3.11 and 3.12. An ISO 9660 image labelled ``cidata`` that cloud-init looks for."""

from __future__ import annotations

import io

import pycdlib

from reconciler.drivers.libvirt import volume
from reconciler.drivers.libvirt.action import Action, action, creation
from reconciler.drivers.request import STORAGE, refuse
from reconciler.model.kinds import DISK

# ISO 9660 allows eight and three letters; Joliet and Rock Ridge have the name cloud-init looks for.
_FILES = {"user-data": "/USERDATA.;1", "meta-data": "/METADATA.;1", "network-config": "/NETWORK.;1"}


@creation(DISK, "CreateCloudInitUserDataImage")
def create(act: Action) -> None:
    pool, data = act.host.active_pool(act.text("pool")), act.text("userData")
    if not data.startswith("#cloud-config"):
        refuse(STORAGE, "user data must start with #cloud-config")
    shown = {"pool": act.text("pool"), "vol": act.target.name, "format": "raw", "seed": True}
    meta = f"instance-id: {act.target.name}\n"
    volume.create(act, pool, act.target.name, shown, lambda path: _write(path, {"user-data": data, "meta-data": meta}))


def _write(path: str, files: dict[str, str]) -> None:
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for name, text in files.items():
        content = text.encode()
        image.add_fp(io.BytesIO(content), len(content), _FILES[name], rr_name=name, joliet_path=f"/{name}")
    image.write(path)
    image.close()


@action(DISK, "DeleteCloudInitUserDataImage")
def delete(act: Action) -> None:
    pool, config = volume.disk(act, act.text("pool"))
    if not config.get("volume", {}).get("seed"):
        refuse(STORAGE, f"{act.target.name} is not a cloud-init image")
    act.host.not_attached(config["current"], f"disk {act.target.name}")
    volume.destroy(pool, act.target.name)
