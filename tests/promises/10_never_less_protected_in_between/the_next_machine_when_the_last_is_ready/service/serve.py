"""The service in the guests: /health is there. Its port is in the file ``port``, its process in ``pid``."""

import os
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

Path("health").touch()
server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
Path("port").write_text(str(server.server_port))
if os.fork() == 0:
    Path("pid").write_text(str(os.getpid()))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    server.serve_forever()
