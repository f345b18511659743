"""Cloud-init seeds: API sections 3.11 and 3.12. An ISO 9660 image labelled ``cidata`` that cloud-init looks for."""

from __future__ import annotations

import io

import pycdlib

from reconciler.drivers.libvirt import volume
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK

# ISO 9660 allows eight and three letters; Joliet and Rock Ridge have the name cloud-init looks for.
_FILES = {"user-data": "/USERDATA.;1", "meta-data": "/METADATA.;1", "network-config": "/NETWORK.;1"}


@operation(DISK, "CreateCloudInitUserDataImage", creates=True)
def create(context: LibvirtContext) -> None:
    pool, data = context.host.active_pool(context.text("pool")), context.text("userData")
    if not data.startswith("#cloud-config"):
        refuse(STORAGE, "user data must start with #cloud-config")
    shown = {"pool": context.text("pool"), "vol": context.target.name, "format": "raw", "seed": True}
    meta = f"instance-id: {context.target.name}\n"
    volume.create(
        context, pool, context.target.name, shown, lambda path: _write(path, {"user-data": data, "meta-data": meta})
    )


def _write(path: str, files: dict[str, str]) -> None:
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for name, text in files.items():
        content = text.encode()
        image.add_fp(io.BytesIO(content), len(content), _FILES[name], rr_name=name, joliet_path=f"/{name}")
    image.write(path)
    image.close()


@operation(DISK, "DeleteCloudInitUserDataImage")
def delete(context: LibvirtContext) -> None:
    pool, config = volume.disk(context, context.text("pool"))
    if not config.get("volume", {}).get("seed"):
        refuse(STORAGE, f"{context.target.name} is not a cloud-init image")
    context.host.require_detached(config["current"], f"disk {context.target.name}")
    volume.destroy(pool, context.target.name)
