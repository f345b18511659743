"""One request to a Kubernetes API as the identity of a kubeconfig: for what kubectl would dress up."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import yaml

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


def call(
    kubeconfig: Path, method: str, path: str, body: object = None, *, sends: str = JSON, accept: str = JSON
) -> Answer:
    """What the API answers, whatever it is."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    headers = {"Accept": accept, "Content-Type": sends}
    headers |= {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(cluster["server"] + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return Answer(answer.status, json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, json.loads(error.read() or b"{}"))
