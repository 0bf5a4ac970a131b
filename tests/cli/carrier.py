# SPDX-License-Identifier: MIT
"""carrier.py FILE: puts real-mode code into the setup part of the bzImage FILE (at 0x268, CS:0x68) that
carries bytes between the machine's two serial ports, and halts while there are none."""
import sys

START, PORTS = 0x68, (0x2f8, 0x3f8)


def dx(port):
    return bytes([0xba, port & 255, port >> 8])


def out(port, value):
    return dx(port) + bytes([0xb0, value, 0xee])  # mov al, value; out dx, al


def carry(source, sink):
    """One byte, if there is one: then from the start of the loop again."""
    move = dx(source) + b"\xec\x88\xc4"  # in al, dx; mov ah, al
    move += dx(sink + 5) + b"\xec\xa8\x20\x74\xfb"  # until the sender is empty
    move += b"\x88\xe0" + dx(sink) + b"\xee\xeb\x00"  # mov al, ah; out dx, al; jmp
    return dx(source + 5) + bytes([0xec, 0xa8, 1, 0x74, len(move)]) + move


def loop():
    code = b"\xfa"
    for source, sink in (PORTS, PORTS[::-1]):
        code += carry(source, sink)
        code = code[:-1] + bytes([256 - len(code)])
    code += b"\xfb\xf4\xeb"  # sti; hlt: an interrupt between them is not lost
    return code + bytes([255 - len(code)])


def program():
    handler = b"\x50\xb0\x20\xe6\x20\x58\xcf"  # end of interrupt, iret
    body = loop()
    uarts = b""
    for port in PORTS:  # FIFOs, interrupt line, interrupt for received bytes
        uarts += out(port + 2, 7) + out(port + 4, 0x0b) + out(port + 1, 1)
    uarts += b"\xb0\xe7\xe6\x21"  # IRQs 3 and 4 alone

    def vectors(address):
        code = b"\xfa\x31\xc0\x8e\xd8\x8c\xc8"  # cli; ds = 0; ax = cs
        for vector in (0x0b, 0x0c):
            at = 4 * vector
            code += bytes([0xc7, 6, at, 0, address & 255, address >> 8, 0xa3, at + 2, 0])
        return code

    head = len(vectors(0)) + len(uarts) + len(body)
    return vectors(START + head) + uarts + body + handler


with open(sys.argv[1], "r+b") as image:
    image.seek(0x200 + START)
    image.write(program())
