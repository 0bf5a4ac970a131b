# SPDX-License-Identifier: MIT
"""What boot.sh and bochs_lab.sh do with a machine's sockets.

ask SOCKET COMMAND         one request to the VMM's management port (include/annex/manage.h); prints
                           the answer's line
plant SOCKET ADDRESS HEX   writes bytes into the machine's memory through QEMU's gdb stub
listen PORT ASK ANSWERS    for a machine whose management port calls this TCP port on the loopback: makes
                           the file ANSWERS and appends what comes; when ASK is there, sends its command
"""
import os
import socket
import sys
import time


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    return s


def ask(path, command):
    port = connect(path)
    port.sendall(f"\nannex/1 test {command}\n".encode())
    text = b""
    end = time.time() + 10
    while time.time() < end:
        text += port.recv(4096)
        for line in text.split(b"\n")[:-1]:
            if b'"id":"test"' in line:
                print(line.decode())
                return 0
    return 1


def plant(path, address, code):
    stub = connect(path)
    packet = f"M{address},{len(code) // 2:x}:{code}"
    # The first packet stops the machine, D lets it go on.
    for text in (packet, "D"):
        stub.sendall(f"${text}#{sum(text.encode()) & 255:02x}".encode())
        reply = b""
        while b"$OK#" not in reply:
            reply += stub.recv(4096)
        stub.sendall(b"+")
    return 0


def listen(number, commands, answers):
    server = socket.create_server(("127.0.0.1", int(number)))
    with open(answers, "wb", buffering=0) as out:
        port = server.accept()[0]
        port.settimeout(0.2)
        while True:
            if os.path.exists(commands):
                with open(commands) as file:
                    port.sendall(f"\nannex/1 test {file.read().strip()}\n".encode())
                os.remove(commands)
            try:
                text = port.recv(4096)
            except TimeoutError:
                continue
            if not text:
                return 0
            out.write(text)


sys.exit({"ask": ask, "plant": plant, "listen": listen}[sys.argv[1]](*sys.argv[2:]))
