"""The libvirt driver: real pools, files, domains and devices of one host.

All it knows of the host is read from it when it is needed. ``driver.py`` is the ``Driver``; the modules named after
kinds have their operations; ``capabilities.py`` says which there are, and needs no binding.
"""
