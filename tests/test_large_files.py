"""What MONAI's own command makes of a bundle's large_files.yml."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from monai.apps.utils import HashCheckError
from monai.bundle import download_large_files

from common.bundle.catalog import list_bundles


class LoginPage(BaseHTTPRequestHandler):
    """Answers everything with a page that is no checkpoint."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Sign in</html>")

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("name", [entry.name for entry in list_bundles()])
def test_monais_own_download_never_stores_a_web_page_as_weights(repository, tmp_path, name):
    server = ThreadingHTTPServer(("127.0.0.1", 0), LoginPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    text = (repository / "bundles" / name / "large_files.yml").read_text(encoding="utf-8")
    page = f"http://127.0.0.1:{server.server_port}/page"
    (tmp_path / "large_files.yml").write_text(re.sub(r"https://\S+", page, text))
    with pytest.raises(HashCheckError, match="hash check of downloaded file failed"):
        download_large_files(str(tmp_path))
    server.shutdown()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["large_files.yml"]
