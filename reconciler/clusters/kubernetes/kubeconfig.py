"""Where a Kubernetes API is, and with which credentials: the official client finds them and keeps them fresh."""

from __future__ import annotations

import os
from pathlib import Path

import urllib3
from kubernetes.client.configuration import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import load_incluster_config
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger, load_kube_config

from reconciler.model.problem import ClusterError


def load_configuration(*, kubeconfig: str = "", context: str = "") -> Configuration:
    """How to reach the API of a kubeconfig's context or, with neither given and no kubeconfig there, the pod's own.

    Raises ``ClusterError`` when there is none, or it cannot be used.
    """
    configuration = Configuration()
    given = kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION
    files = [path for part in given.split(os.pathsep) if part and (path := Path(part).expanduser()).is_file()]
    try:
        if files or kubeconfig or context:
            if not files:
                raise ClusterError(f"there is no kubeconfig {given}. Name another with --kubeconfig or $KUBECONFIG.")
            if context:
                _require_context(context, given)
            load_kube_config(kubeconfig or None, context or None, configuration)
        else:
            load_incluster_config(configuration)
    except ClusterError:
        raise
    except ConfigException as error:
        if files:
            raise ClusterError(f"the kubeconfig {given} cannot be used: {error}") from error
        raise ClusterError(
            f"no Kubernetes API is known: there is no kubeconfig {given}, and this is no pod with a service account."
            " Name one with --kubeconfig or $KUBECONFIG."
        ) from error
    except Exception as error:  # the client lets through whatever reading files, YAML and base64 raises
        raise ClusterError(f"the kubeconfig {given} cannot be used: {' '.join(str(error).split())}") from error
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the kubeconfig says so
    configuration.connection_pool_maxsize = 64
    return configuration


def _require_context(context: str, given: str) -> None:
    names = [str(each["name"]) for each in KubeConfigMerger(given).config["contexts"].value]
    if context not in names:
        raise ClusterError(f"there is no context {context} in {given}; it has {', '.join(sorted(names)) or 'none'}.")
