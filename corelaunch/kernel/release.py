"""The age of the kernel, as its release tells it (uname(2))."""

from __future__ import annotations


def version(release: str) -> tuple[int, int]:
    """Major and minor number of a kernel release ("6.1.0-13-amd64")."""
    numbers = [""]
    for letter in release:
        if letter.isdigit():
            numbers[-1] += letter
        elif letter == "." and numbers[-1]:
            numbers.append("")
        else:
            break
    major, minor = [*(int(number or 0) for number in numbers), 0, 0][:2]
    return major, minor
