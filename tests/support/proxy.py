"""A TCP proxy between clients and a server whose connections a test can cut."""

from __future__ import annotations

import socket
import threading

from tests.support.daemon import TIMEOUT_SECONDS


class Proxy:
    """Forwards bytes both ways until `cut_connections` ends every connection.

    While ``drop_replies`` is set, everything the server sends is discarded, as when a cable is pulled.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self.drop_replies = False
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
            except OSError:
                return
            self._sockets += [near, far]
            for source, target, from_server in ((near, far, False), (far, near, True)):
                thread = threading.Thread(
                    target=self._forward, args=(source, target, from_server), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _forward(self, source: socket.socket, target: socket.socket, from_server: bool) -> None:
        try:
            while data := source.recv(65536):
                if not (from_server and self.drop_replies):
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut_connections(self) -> None:
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_connections()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
        for sock in self._sockets:
            sock.close()
