"""Damaged files."""

import random


def damage(content: bytes, number: int, generator: random.Random) -> bytes:
    """Return the content cut off (every fourth ``number``) or with one flipped bit, at a random byte."""
    damaged = bytearray(content)
    if number % 4 == 3:
        del damaged[generator.randrange(len(content)) :]
    else:
        damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    return bytes(damaged)
