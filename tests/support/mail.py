"""The messages that tests send: the corpus of tests/data/mail, and made ones."""

import os
import re

from pillarbox import ROOT

CORPUS = os.path.join(ROOT, "tests", "data", "mail")


def corpus():
    """(name, octets) of every message file, in order of name; licences and lists are not messages."""
    out = []
    for base, _, files in sorted(os.walk(CORPUS)):
        for name in sorted(files):
            if name.endswith(".eml"):
                path = os.path.join(base, name)
                with open(path, "rb") as f:
                    out.append((os.path.relpath(path, CORPUS), f.read()))
    return out


def crlf(octets):
    """With CRLF line ends, the last line too: what SMTP can carry."""
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def made(number, size=600, marker="m"):
    """A message that says which one it is, of about `size` octets."""
    head = (f"From: sender@example.test\r\nTo: user@example.test\r\nSubject: {marker} {number}\r\n"
            f"Message-ID: <{marker}.{number}@example.test>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
            f"X-Marker: {marker}-{number}\r\n\r\n")
    line = f"{marker} {number} " + "x" * 60 + "\r\n"
    body = line * max(1, (size - len(head)) // len(line))
    return (head + body).encode()


def without_trace(octets):
    """A delivered message without the Return-Path and Received fields that the delivery put before it: only those at the
    top, so that a message's own stay. (How many were put there is the caller's to say: see strip_trace.)"""
    return strip_trace(octets, 2)


def strip_trace(octets, fields):
    rest = octets
    for _ in range(fields):
        m = re.match(rb"(?i)(return-path|received|delivered-to):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", rest)
        if not m:
            break
        rest = rest[m.end():]
    return rest
