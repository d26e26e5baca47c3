"""A TCP proxy on loopback that counts the bytes of both directions, and can stop in the midst of a transfer.

It stands at the address that the hub's configuration names as its endpoint, so that every address that the hub hands out
leads through it; it understands nothing of what passes.
"""

import socket
import threading

# What is read at once; large enough that counting does not slow a transfer down.
PIECE_BYTES = 1 << 18


class Counted:
    """A proxy at `port` in front of the address `target`; `up` and `down` are bytes from and to the client."""

    def __init__(self, port, target):
        self.target = target
        self.up = self.down = 0
        self.lock = threading.Lock()
        self.trigger = None
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    def during(self, action):
        """What `action` returns, and the bytes up and down while it ran."""
        with self.lock:
            up, down = self.up, self.down
        result = action()
        with self.lock:
            return result, self.up - up, self.down - down

    def once(self, direction, size, action):
        """Calls `action` once, when `size` bytes of that direction ("up" or "down") have passed from now on; nothing
        passes while it runs, and every connection is cut after it."""
        with self.lock:
            self.trigger = (direction, getattr(self, direction) + size, action)

    def cut(self):
        """Closes every connection."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def accept(self):
        """Takes connections for as long as the process lives."""
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((client, server))
            threading.Thread(target=self.forward, args=(client, server, "up"), daemon=True).start()
            threading.Thread(target=self.forward, args=(server, client, "down"), daemon=True).start()

    def forward(self, source, sink, direction):
        """Copies one direction of one connection to its end."""
        try:
            while piece := source.recv(PIECE_BYTES):
                if self.count(direction, len(piece)):
                    self.cut()
                    return
                sink.sendall(piece)
        except OSError:
            pass
        finally:
            for end, how in ((source, socket.SHUT_RD), (sink, socket.SHUT_WR)):
                try:
                    end.shutdown(how)
                except OSError:
                    pass

    def count(self, direction, size):
        """Adds to the sum; whether this piece was the one that the trigger waited for."""
        with self.lock:
            setattr(self, direction, getattr(self, direction) + size)
            if self.trigger is None or self.trigger[0] != direction or getattr(self, direction) < self.trigger[1]:
                return False
            action, self.trigger = self.trigger[2], None
            action()
            return True
