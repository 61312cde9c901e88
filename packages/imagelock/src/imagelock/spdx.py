"""From the words that packages use for licences to SPDX, where the meaning is sure. Knows no package.

Sure means: an SPDX id, an expression made of them, or a short name that Debian defines. Everything else
stays a name as it was written; nothing is guessed ("BSD" alone is none of the BSD licences).
"""

from __future__ import annotations

import re

IDS = {
    identifier.lower(): identifier
    for identifier in (
        "0BSD", "AFL-2.1", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause",
        "BSL-1.0", "CC-BY-4.0", "CC0-1.0", "CNRI-Python", "GFDL-1.3-only", "GPL-2.0-only", "GPL-2.0-or-later",
        "GPL-3.0-only", "GPL-3.0-or-later", "HPND", "ISC", "LGPL-2.0-only", "LGPL-2.0-or-later",
        "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MIT-CMU",
        "MPL-1.1", "MPL-2.0", "NCSA", "OpenSSL", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib", "bzip2-1.0.6",
    )
}  # fmt: skip
# Short names of Debian's machine-readable copyright files, version 1.0.
DEBIAN = {"expat": "MIT", "artistic-2.0": "Artistic-2.0", "cc0": "CC0-1.0", "python": "Python-2.0",
          "python-cnri": "CNRI-Python", "mpl-1.1": "MPL-1.1", "zlib": "Zlib", "isc": "ISC"}  # fmt: skip
GNU = re.compile(r"(?P<name>A?L?GPL|GFDL)-(?P<version>[123])(\.(?P<minor>\d))?(?P<later>\+)?", re.IGNORECASE)
CLASSIFIERS = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zero-Clause BSD (0BSD)": "0BSD",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
}
TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9.+:-]+)")
OPERATORS = {"AND", "OR", "WITH"}


def spdx_id(word: str, *, debian: bool = False) -> str:
    """The SPDX id a word stands for, or empty."""
    found = IDS.get(word.lower(), "")
    if found or not debian:
        return found
    gnu = GNU.fullmatch(word)
    if gnu:
        name = f"{gnu['name'].upper()}-{gnu['version']}.{gnu['minor'] or 0}"
        return IDS.get(f"{name}-{'or-later' if gnu['later'] else 'only'}".lower(), "")
    return DEBIAN.get(word.lower(), "")


def debian_expression(text: str) -> str:
    """An SPDX expression of a Debian synopsis ("GPL-2+ or Artistic"), or empty when a word is not sure."""
    made = []
    # Debian's comma binds looser than "and": without it, the order of words is the same in SPDX.
    if "," in text:
        return ""
    for word in text.split():
        if word.lower() in {"and", "or"}:
            made.append(word.upper())
        elif found := spdx_id(word, debian=True):
            made.append(found)
        else:
            return ""
    expression = " ".join(made)
    return expression if is_expression(expression) else ""


def is_expression(text: str) -> bool:
    """True when a text has the form of an SPDX expression; its ids are the word of whoever wrote it."""
    tokens, at, depth, wants_id = [], 0, 0, True
    while match := TOKEN.match(text, at):
        tokens.append(match[1])
        at = match.end()
    if text[at:].strip():
        return False
    for token in tokens:
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        elif (token.upper() in OPERATORS) == wants_id:
            return False
        else:
            wants_id = not wants_id
        if depth < 0 or (token == "(" and not wants_id) or (token == ")" and wants_id):
            return False
    return bool(tokens) and not depth and not wants_id
