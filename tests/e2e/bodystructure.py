"""Reads what IMAP's FETCH answers: lists, strings, literals and numbers (RFC 3501, 7.4.2 and 9)."""

import re

ATOM = re.compile(rb'(?:BODY(?:\.PEEK)?\[[^\]]*\](?:<\d+>)?|[^\s()"{]+)', re.I)


def _value(text, at):
    """(value, position behind it): None for NIL, bytes for strings and atoms, lists for lists."""
    c = text[at:at + 1]
    if c == b"(":
        out = []
        at += 1
        while text[at:at + 1] != b")":
            if text[at:at + 1] == b" ":
                at += 1
                continue
            v, at = _value(text, at)
            out.append(v)
        return out, at + 1
    if c == b'"':
        m = re.compile(rb'"((?:\\.|[^"\\\r\n])*)"', re.S).match(text, at)
        return re.sub(rb"\\(.)", rb"\1", m.group(1)), m.end()
    m = re.compile(rb"\{(\d+)\+?\}\r\n").match(text, at)
    if m:
        end = m.end() + int(m.group(1))
        assert end <= len(text), "a literal is longer than its response"
        return text[m.end():end], end
    m = ATOM.match(text, at)
    assert m, f"not an IMAP value at {at}: {text[at:at + 40]!r}"
    return (None if m.group(0).upper() == b"NIL" else m.group(0)), m.end()


def parse(response):
    """{item: value} of "* n FETCH (...)"; the items' names in capitals."""
    m = re.match(rb"\* \d+ FETCH ", response)
    assert m, response[:100]
    values, end = _value(response, m.end())
    assert end == len(response), f"octets behind the list: {response[end:end + 40]!r}"
    return {k.upper(): v for k, v in zip(values[::2], values[1::2])}


def leaves(structure, prefix=""):
    """(section, size in octets) of every part that is no multipart; message/rfc822 parts and what is in them too."""
    if isinstance(structure[0], list):
        # After the parts come subtype and extension data, which may be lists too (parameters): parts start the list.
        parts = []
        for p in structure:
            if not isinstance(p, list):
                break
            parts.append(p)
        for i, part in enumerate(parts):
            yield from leaves(part, f"{prefix}{i + 1}.")
        return
    section = (prefix or "1.")[:-1]
    yield section, int(structure[6])
    if structure[0].lower() == b"message" and structure[1].lower() == b"rfc822":
        inner = structure[8]
        yield from leaves(inner, section + ("." if isinstance(inner[0], list) else ".1."))
