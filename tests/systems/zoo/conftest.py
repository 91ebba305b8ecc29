import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Handler(BaseHTTPRequestHandler):
    """Serves the server's `content`, cut off at half while `n_breaks` is not used up."""

    def do_GET(self):
        served = self.server
        asked = self.headers.get("Range")
        served.asked.append((self.path, asked))
        content = served.content.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content)
        if served.n_breaks:
            served.n_breaks -= 1
            stop = start + (len(content) - start) // 2
        self.wfile.write(content[start:stop])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.content, served.asked, served.n_breaks = {}, [], 0
    served.url = f"http://127.0.0.1:{served.server_port}"
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()
