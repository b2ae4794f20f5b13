"""What strangers send to a coordinator: to its ZeroMQ port (ZMTP 3.1, RFC 37), and to the port of its metrics."""

import contextlib
import socket
import struct
import time


def answer(wire):
    with contextlib.suppress(OSError):
        return wire.recv(1 << 16)
    return b""


# ZeroMQ

def greeting(mechanism=b"NULL", version=(3, 1)):
    return b"\xff" + bytes(8) + b"\x7f" + bytes(version) + mechanism.ljust(20, b"\0") + bytes(32)


def command(name, body=b""):
    whole = bytes([len(name)]) + name + body
    return (b"\x04" + bytes([len(whole)]) if len(whole) < 256 else b"\x06" + struct.pack(">Q", len(whole))) + whole


def frame(body, more=False):
    flags = (1 if more else 0) | (2 if len(body) > 255 else 0)
    return bytes([flags]) + (struct.pack(">Q", len(body)) if len(body) > 255 else bytes([len(body)])) + body


def properties(socket_type=b"DEALER", identity=b""):
    return b"".join(
        bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
        for name, value in ((b"Socket-Type", socket_type), (b"Identity", identity)))


def random_bytes(wire, random):
    wire.sendall(random.randbytes(random.choice((1, 10, 64, 5000, 1 << 17))))
    answer(wire)


def half_a_greeting(wire, random):
    whole = greeting(random.choice((b"NULL", b"CURVE", b"PLAIN", b"GSSAPI", b"\xff" * 20)))
    wire.sendall(whole[: random.randrange(len(whole))])
    time.sleep(random.uniform(0, 1))


def a_byte_at_a_time(wire, random):
    for byte in greeting()[:30]:
        wire.sendall(bytes([byte]))
        time.sleep(0.03)


def an_odd_greeting(wire, random):
    wire.sendall(greeting(random.choice((b"NULL", b"CURVE")), random.choice(((0, 0), (1, 0), (2, 1), (3, 99), (255, 255)))))
    wire.sendall(command(random.choice((b"READY", b"ERROR", b"HELLO", b"INITIATE", b"")), random.randbytes(random.randrange(300))))
    answer(wire)


def a_false_hello(wire, random):
    """CURVE's first message, with keys that are none."""
    wire.sendall(greeting(b"CURVE"))
    wire.sendall(command(b"HELLO", b"\x01\x00" + random.randbytes(random.choice((192, 198, 0, 5000)))))
    answer(wire)


def shaken_hands(wire, random):
    """A peer that is admitted where no keys are asked for, and then sends what is no message."""
    wire.sendall(greeting())
    wire.sendall(command(b"READY", properties(random.choice((b"DEALER", b"REQ", b"ROUTER")), random.randbytes(random.randrange(5)))))
    answer(wire)
    for _ in range(random.choice((1, 5, 200))):
        body = random.choice((random.randbytes(random.randrange(200)), b"", bytes(40_000), b"\x01" + random.randbytes(30)))
        wire.sendall(frame(body, more=random.random() < 0.2))
    answer(wire)


def a_frame_without_end(wire, random):
    wire.sendall(greeting() + command(b"READY", properties()))
    wire.sendall(b"\x02" + struct.pack(">Q", random.choice((1 << 62, 1 << 40, 1 << 32, (1 << 64) - 1, 1 << 28))))
    wire.sendall(random.randbytes(1 << 16))
    answer(wire)


def an_endless_command(wire, random):
    wire.sendall(greeting() + b"\x06" + struct.pack(">Q", random.choice((1 << 62, 1 << 31, 1 << 20))) + b"\x05READY" + bytes(1 << 16))
    answer(wire)


def pings(wire, random):
    wire.sendall(greeting() + command(b"READY", properties()))
    for _ in range(200):
        wire.sendall(command(b"PING", struct.pack(">H", random.randrange(1 << 16)) + random.randbytes(random.randrange(20))))
    answer(wire)


def a_flood(wire, random):
    """Many connections at once, which say nothing."""
    address = wire.getpeername()
    with contextlib.ExitStack() as open_ones:
        for _ in range(60):
            open_ones.enter_context(socket.create_connection(address, timeout=1))
        time.sleep(random.uniform(0, 0.5))


ZEROMQ = (
    random_bytes, half_a_greeting, a_byte_at_a_time, an_odd_greeting, a_false_hello, shaken_hands, a_frame_without_end,
    an_endless_command, pings, a_flood)


# HTTP

def a_big_header(wire, random):
    wire.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\nX-Much: " + b"a" * random.choice((5_000, 70_000, 1 << 20)) + b"\r\n\r\n")
    answer(wire)


def many_headers(wire, random):
    wire.sendall(b"GET /metrics HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)) + b"\r\n")
    answer(wire)


def a_long_path(wire, random):
    wire.sendall(b"GET /" + b"../" * random.choice((3, 3000, 40_000)) + b"etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
    answer(wire)


def an_odd_request(wire, random):
    wire.sendall(random.choice((
        b"POST /status HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"GET\r\n\r\n", b"\r\n" * 5000,
        b"GET /status HTTP/9.9\r\n\r\n", b"BREW /status HTTP/1.1\r\n\r\n", b"GET /status HTTP/1.1\r\n: \r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(200))))
    answer(wire)


def a_slow_request(wire, random):
    for byte in b"GET /status HTTP/1.1\r\nHost: x":
        wire.sendall(bytes([byte]))
        time.sleep(0.04)


def many_requests_at_once(wire, random):
    for _ in range(300):
        wire.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    # Nobody reads the answers.
    time.sleep(random.uniform(0, 0.5))


HTTP = (
    random_bytes, a_big_header, many_headers, a_long_path, an_odd_request, a_slow_request, many_requests_at_once, a_flood)
