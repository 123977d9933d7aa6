"""Damage to files: bytes, JSON values, words of text, chunks of pictures, headers of safetensors and GLB files.

Every change is drawn from the random numbers given, so that a case can be made again.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import PurePath
from random import Random
from typing import Any

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 7, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63)),
    *(0.0, -0.0, 0.5, 1e-300, 1e-9, 1e9, 1e30, 1e300, float("nan"), float("inf"), float("-inf"), 10**400),
)
TEXTS = (
    *("", " ", "a", "\n", "a\nb", "\0", "../x", "/", "/etc/passwd", "..", ".", "~", "%s", "{}", "-1", "nan"),
    *("x" * 300, "x" * 5000, "ü", "\u202e", "\ud800", "\ufeff", "\U0001f600", "a/b", "a\\b", "C:\\x", "CON"),
)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    *TEXTS,
    None,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    {"kind": "x"},
    [1, 2, 3],
    [0] * 1000,
)
WORDS = (
    "0",
    "-1",
    "1e400",
    "nan",
    "inf",
    "",
    "x",
    "1.5",
    str(2**31),
    str(2**63),
    str(2**64),
    "9" * 5000,
    "é",
    "\0",
    "#",
)
INTEGERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
LAYOUTS = ("<B", "<H", "<I", "<Q", ">H", ">I", ">Q")
FLOATS = (float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 1e30, 1e300, 1e-300)


def mutated(name: str, data: bytes, random: Random) -> bytes:
    """The contents of a file called `name`, changed in one to four places, mostly so that its format stays."""
    mutate = _BY_SUFFIX.get(PurePath(name).suffix.lower(), mutated_bytes)
    if random.random() < 0.2:
        mutate = mutated_bytes
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = mutate(data, random)
    return data


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Bits, numbers or stretches of bytes are changed, left out or repeated."""
    if not data:
        return random.randbytes(random.randrange(64))
    place = random.randrange(len(data)) if random.random() < 0.5 else random.randrange(min(len(data), 128))
    match random.randrange(8):
        case 0:
            return data[:place] + bytes([data[place] ^ (1 << random.randrange(8))]) + data[place + 1 :]
        case 1:
            return data[:place]
        case 2 | 3:
            layout = random.choice(LAYOUTS)
            size = struct.calcsize(layout)
            number = struct.pack(layout, random.choice(INTEGERS) % 2 ** (8 * size))
            return data[:place] + number + data[place + size :]
        case 4:
            number = struct.pack(random.choice(("<f", "<d")), min(random.choice(FLOATS), 3e38))
            return data[:place] + number + data[place + len(number) :]
        case 5:
            return data[:place] + data[place + random.randrange(1, 64) :]
        case 6:
            end = place + random.randrange(1, 64)
            return data[:end] + data[place:]
        case _:
            return data[:place] + random.randbytes(random.randrange(1, 16)) + data[place:]


def mutated_value(value: Any, random: Random) -> Any:
    """A JSON value with one of the values in it changed, left out, repeated or put elsewhere."""
    places = list(_places(value))
    if not places:
        return random.choice(VALUES)
    holder, key = random.choice(places)
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 1:
            holder[random.choice((*TEXTS, f"{key}_", key.upper()))] = holder.pop(key)
        case 2:
            other, name = random.choice(places)
            # A copy, so that nothing comes to hold itself.
            holder[key] = json.loads(json.dumps(other[name]))
        case 3 if isinstance(holder[key], int | float):
            holder[key] = random.choice(NUMBERS)
        case 3 if isinstance(holder[key], str):
            holder[key] = random.choice((*TEXTS, holder[key] + random.choice(TEXTS), holder[key][1:]))
        case 4:
            holder[key] = [holder[key]]
        case _:
            holder[key] = random.choice(VALUES)
            if isinstance(holder[key], list | dict):
                holder[key] = json.loads(json.dumps(holder[key]))
    return value


def mutated_json(data: bytes, random: Random) -> bytes:
    """A JSON file with another value, or with other bytes where it is none any more."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutated_bytes(data, random)
    if random.random() < 0.01:
        return b"[" * 100_000
    # Python's JSON has NaN, infinity and lone halves of surrogates, as files by other hands have now and then.
    return json.dumps(mutated_value(value, random)).encode()


def mutated_text(data: bytes, random: Random) -> bytes:
    """A text whose words or lines are changed, left out, repeated or swapped."""
    lines = data.decode("utf-8", "replace").split("\n")
    place = random.randrange(len(lines))
    words = lines[place].split(" ")
    word = random.randrange(len(words))
    match random.randrange(7):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[random.randrange(len(lines))])
        case 2:
            del words[word]
            lines[place] = " ".join(words)
        case 3:
            words.insert(word, random.choice(WORDS))
            lines[place] = " ".join(words)
        case _:
            words[word] = random.choice(WORDS)
            lines[place] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "replace")


def mutated_safetensors(data: bytes, random: Random) -> bytes:
    """A safetensors file with another header, or with other JSON in the metadata that this package keeps there."""
    try:
        size = int.from_bytes(data[:8], "little")
        header, tensors = json.loads(data[8 : 8 + size]), data[8 + size :]
        kept = header.get("__metadata__", {}).get("json")
        if random.random() < 0.5 and kept:
            header["__metadata__"]["json"] = mutated_json(kept.encode(), random).decode("utf-8", "replace")
        elif random.random() < 0.3:
            tensors = mutated_bytes(tensors, random)
        elif random.random() < 0.3:
            header = _without_or_renamed(header, random)
        else:
            header = mutated_value(header, random)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return mutated_bytes(data, random)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def _without_or_renamed(header: dict[str, Any], random: Random) -> dict[str, Any]:
    """The header with the tensor's bytes kept in place but another shape or type of the same size, or another name."""
    name = random.choice([*header])
    entry = header[name]
    if isinstance(entry, dict) and isinstance(entry.get("shape"), list):
        match random.randrange(4):
            case 0:
                entry["shape"] = entry["shape"][::-1]
            case 1:
                entry["shape"] = [1, *entry["shape"]]
            case 2:
                same = {"F32": ("I32", "U32"), "I64": ("F64", "U64"), "F64": ("I64",), "U8": ("I8", "BOOL")}
                entry["dtype"] = random.choice(same.get(str(entry.get("dtype")), ("F32",)))
            case _:
                header[f"{name}.x"] = header.pop(name)
    return header


def mutated_png(data: bytes, random: Random) -> bytes:
    """A PNG file with other bytes in one chunk, whose checksum is right, or with chunks elsewhere."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return mutated_bytes(data, random)
    chunks, place = [], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    index = random.randrange(len(chunks)) if chunks else 0
    match random.randrange(5):
        case _ if not chunks:
            return mutated_bytes(data, random)
        case 0:
            del chunks[index]
        case 1:
            chunks.insert(index, random.choice(chunks))
        case _:
            chunks[index] = (chunks[index][0], mutated_bytes(chunks[index][1], random))
    parts = [data[:8]]
    for kind, body in chunks:
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(kind + body))]
    return b"".join(parts)


def mutated_glb(data: bytes, random: Random) -> bytes:
    """A GLB file with another description, or with other bytes of what it describes."""
    try:
        size = int.from_bytes(data[12:16], "little")
        value, rest = json.loads(data[20 : 20 + size]), data[20 + size :]
    except (ValueError, RecursionError):
        return mutated_bytes(data, random)
    if random.random() < 0.3:
        rest = mutated_bytes(rest, random)
    else:
        value = mutated_value(value, random)
    text = json.dumps(value).encode()
    text += b" " * (-len(text) % 4)
    return data[:8] + struct.pack("<III", 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every holder, list or object, and key of a value in a JSON value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            found += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]
    return found


_BY_SUFFIX: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": mutated_json,
    ".gltf": mutated_json,
    ".jsonl": mutated_text,
    ".txt": mutated_text,
    ".obj": mutated_text,
    ".mtl": mutated_text,
    ".safetensors": mutated_safetensors,
    ".png": mutated_png,
    ".glb": mutated_glb,
}
