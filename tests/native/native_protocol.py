"""The numbers of native/protocol.h, read from the header itself: these tests stand without the built extension."""

from __future__ import annotations

import re
from pathlib import Path
from struct import Struct

HEADER = Path(__file__).resolve().parents[2] / "native" / "protocol.h"

MESSAGE = Struct("=IHHII")
HELLO = Struct("=II")
BOOTSTRAP = Struct("=3I8Ii4q")
PLAN_MESSAGE = Struct("=II")
INDEX = Struct("=I")
PLAN = Struct("=6I")
RECORD = Struct("=HHI4I3Q")


def _numbers() -> dict[str, int]:
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    found = {name: int(value, 0) for name, value in re.findall(r"#define (CL_\w+) (\w+)", text)}
    found |= {name: int(value) for name, value in re.findall(r"(CL_\w+) = (\d+)", text)}
    return found


NUMBERS = _numbers()
ERROR = Struct(f"=IIIIi{NUMBERS['CL_ERROR_PATH']}s{NUMBERS['CL_ERROR_TEXT']}s")
LOG = Struct(f"=II{NUMBERS['CL_ERROR_TEXT']}s")
MESSAGE_NAMES = {value: name[len("CL_MSG_") :] for name, value in NUMBERS.items() if name.startswith("CL_MSG_")}
OPERATION_NAMES = {value: name[len("CL_OP_") :] for name, value in NUMBERS.items() if name.startswith("CL_OP_")}
