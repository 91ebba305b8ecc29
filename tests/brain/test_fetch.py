import hashlib
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fernet_neuro.brain import fetch
from fernet_neuro.brain.fetch import DATA_SETS, DataSet, RemoteFile, fetch_data_set
from fernet_neuro.cli.app import main
from fernet_neuro.exceptions import StoreError

CONTENT = {
    "data/bold.bin": bytes(range(256)) * 1100,
    "LICENSE": b"free\n",
}


class Handler(BaseHTTPRequestHandler):
    """Serves `CONTENT` in the manner that the server's `behaviour` asks for, and notes what was asked."""

    def do_GET(self):
        server = self.server
        path = self.path.removeprefix("/owner/repo/c0ffee/")
        asked = self.headers.get("Range")
        server.asked.append((path, asked))
        if server.behaviour == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/elsewhere")
            self.end_headers()
            return
        if path not in CONTENT or server.behaviour == "absent":
            self.send_error(404)
            return
        content = CONTENT[path]
        if server.behaviour == "wrong":
            content = content[::-1]
        if server.behaviour == "longer":
            content = content * 40
        start = 0
        if asked and server.behaviour != "no ranges":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content)
        if server.behaviour in ("breaks", "no ranges", "breaks once") and server.n_breaks:
            server.n_breaks -= 1
            stop = start + (len(content) - start) // 2
        self.wfile.write(content[start:stop])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.behaviour, served.asked, served.n_breaks = "", [], 0
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    files = tuple(
        RemoteFile(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in CONTENT.items()
    )
    data = DataSet("Made up", "owner/repo", "c0ffee", files, "free to use", "Nobody (2026)")
    monkeypatch.setitem(DATA_SETS, "tiny", data)
    return data


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}"


def read_all(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "SOURCE.txt"}


WHOLE = {"bold.bin": CONTENT["data/bold.bin"], "LICENSE": CONTENT["LICENSE"]}


def test_files_arrive_whole_with_their_source(url, server, tmp_path):
    written = fetch_data_set("tiny", tmp_path / "new" / "tiny", base_url=url + "/")
    assert [path.name for path in written] == ["bold.bin", "LICENSE", "SOURCE.txt"]
    assert read_all(tmp_path / "new" / "tiny") == WHOLE
    source = written[-1].read_text()
    for phrase in ("github.com/owner/repo, commit c0ffee", "free to use", "Nobody (2026)", "281600 bytes"):
        assert phrase in source
    assert server.asked == [("data/bold.bin", None), ("LICENSE", None)]


def test_what_is_there_is_not_loaded_again(url, server, tmp_path):
    fetch_data_set("tiny", tmp_path, base_url=url)
    (tmp_path / "SOURCE.txt").write_text("mine")
    server.asked.clear()
    fetch_data_set("tiny", tmp_path, base_url=url)
    assert server.asked == []
    assert (tmp_path / "SOURCE.txt").read_text() == "mine"


def test_another_file_of_that_name_is_not_overwritten(url, tmp_path):
    (tmp_path / "LICENSE").write_text("not free")
    with pytest.raises(StoreError, match="LICENSE is there and is not the file of the data set"):
        fetch_data_set("tiny", tmp_path, base_url=url)
    assert (tmp_path / "LICENSE").read_text() == "not free"


def test_a_connection_that_breaks_is_gone_on_from(url, server, tmp_path):
    server.behaviour, server.n_breaks = "breaks", 2
    fetch_data_set("tiny", tmp_path, base_url=url)
    assert read_all(tmp_path) == WHOLE
    # Pieces of 1 KiB: the last one is lost with the connection.
    half, rest = 137 * 1024, 206 * 1024
    assert server.asked[:3] == [
        ("data/bold.bin", None), ("data/bold.bin", f"bytes={half}-"), ("data/bold.bin", f"bytes={rest}-")
    ]  # fmt: skip


def test_a_later_call_goes_on_where_the_first_one_ended(url, server, tmp_path):
    server.behaviour, server.n_breaks = "breaks", 99
    with pytest.raises(StoreError, match=r"of 281600 bytes are kept\. Run the command again"):
        fetch_data_set("tiny", tmp_path, base_url=url)
    assert [path.name for path in tmp_path.iterdir()] == [".bold.bin.part"]
    kept = (tmp_path / ".bold.bin.part").stat().st_size
    server.behaviour = ""
    server.asked.clear()
    fetch_data_set("tiny", tmp_path, base_url=url)
    assert server.asked[0] == ("data/bold.bin", f"bytes={kept}-")
    assert read_all(tmp_path) == WHOLE


def test_a_server_without_ranges_sends_all_anew(url, server, tmp_path):
    server.behaviour, server.n_breaks = "no ranges", 1
    (tmp_path / ".bold.bin.part").write_bytes(b"x" * 1000)
    fetch_data_set("tiny", tmp_path, base_url=url)
    assert read_all(tmp_path) == WHOLE


@pytest.mark.parametrize("behaviour", ["wrong", "longer"])
def test_a_file_that_is_not_the_pinned_one_is_thrown_away(url, server, tmp_path, behaviour):
    server.behaviour = behaviour
    with pytest.raises(StoreError, match="is not the pinned file"):
        fetch_data_set("tiny", tmp_path, base_url=url)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_rest_of_an_earlier_call_is_thrown_away(url, tmp_path):
    (tmp_path / ".bold.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(StoreError, match="is not the pinned file"):
        fetch_data_set("tiny", tmp_path, base_url=url)
    fetch_data_set("tiny", tmp_path, base_url=url)
    assert read_all(tmp_path) == WHOLE


def test_a_missing_file_is_named_with_what_to_do(url, server, tmp_path):
    server.behaviour = "absent"
    with pytest.raises(StoreError, match=r"c0ffee/data/bold.bin cannot be had \(HTTP 404.*--base-url"):
        fetch_data_set("tiny", tmp_path, base_url=url)


def test_redirects_away_from_https_are_refused(url, server, tmp_path):
    server.behaviour = "redirect"
    with pytest.raises(StoreError, match="redirected to an address that is not https"):
        fetch_data_set("tiny", tmp_path, base_url=url)


def test_a_folder_that_cannot_be_written_is_named(url, tmp_path):
    (tmp_path / ".bold.bin.part").mkdir()
    with pytest.raises(StoreError, match=r"bold.bin.part cannot be written: Is a directory"):
        fetch_data_set("tiny", tmp_path, base_url=url)


def test_no_connection_is_one_line_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        StoreError, match=r"cannot be had .*refused.*Run the command again when this machine is"
    ) as found:
        fetch_data_set("tiny", tmp_path / "new", base_url=f"http://127.0.0.1:{port}")
    assert "\n" not in str(found.value)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_server_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StoreError, match="timed out"):
            fetch_data_set(
                "tiny", tmp_path, base_url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2
            )


@pytest.mark.parametrize("address", ["http://example.org", "ftp://127.0.0.1", "file:///etc", "example.org"])
def test_other_addresses_than_https_are_refused(address, tmp_path):
    with pytest.raises(ValueError, match=r"base_url must be an https address"):
        fetch_data_set("tiny", tmp_path / "new", base_url=address)
    assert not (tmp_path / "new").exists()


def test_wrong_names_and_files_in_the_way_are_named(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'kriegeskorte92'"):
        fetch_data_set("kriegeskorte", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file is a file; name a folder"):
        fetch_data_set("tiny", tmp_path / "file")
    with pytest.raises(ValueError, match=r"timeout must be >= 0\.1"):
        fetch_data_set("tiny", tmp_path, timeout=0)


def test_every_data_set_is_pinned():
    for data in DATA_SETS.values():
        if data.title == "Made up":
            continue
        assert len(data.commit) == 40
        for file in data.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size > 0
    assert fetch.BASE_URL.startswith("https://")


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["fernet-neuro", "brain", "fetch", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_info:
        main()
    output = capsys.readouterr()
    return exit_info.value.code or 0, output.out, output.err


def test_the_command_prints_licence_and_citation(url, tmp_path, monkeypatch, capsys):
    code, out, err = call(monkeypatch, capsys, "tiny", "--out", tmp_path / "a", "--base-url", url)
    assert code == 0
    assert "Licence: free to use\nCite: Nobody (2026)" in out
    assert "bold.bin (KiB)" in err
    code, out, _ = call(monkeypatch, capsys, "tiny", "--out", tmp_path / "b", "--base-url", url, "--json")
    assert json.loads(out)["licence"] == "free to use"
    assert len(json.loads(out)["files"]) == 3


def test_the_command_says_in_one_line_what_is_wrong(url, server, tmp_path, monkeypatch, capsys):
    server.behaviour = "absent"
    code, _, err = call(monkeypatch, capsys, "tiny", "--out", tmp_path, "--base-url", url, "--json")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "HTTP 404" in err


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "folder"), [("kriegeskorte92", "kriegeskorte92"), ("haxby2001", "haxby2001_slice")]
)
def test_pinned_sizes_and_checksums_are_those_of_the_data(data_root, name, folder):
    for file in DATA_SETS[name].files:
        path = data_root / folder / file.name
        assert path.stat().st_size == file.size
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
