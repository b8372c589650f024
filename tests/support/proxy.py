"""A wire between clients and a server that a test can cut."""

from __future__ import annotations

import socket
import threading

from tests.support.daemon import PATIENCE_SECONDS


class Proxy:
    """Passes bytes on between a client and the server; `cut` ends every connection, answers unread.

    While ``deaf``, what the server says is thrown away: its answers are lost, as when a cable is pulled.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self.deaf = False
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
            for source, target, server in ((near, far, False), (far, near, True)):
                thread = threading.Thread(target=self._pass, args=(source, target, server), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, server: bool) -> None:
        try:
            while data := source.recv(65536):
                if not (server and self.deaf):
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self) -> None:
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        for one in self._sockets:
            one.close()
