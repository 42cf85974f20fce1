"""Record what torch and TensorFlow give for the expressions of tests/helpers/doors.py, and which versions gave it.

    python tests/tools/record_doors.py

Writes tests/data/doors.json, one expression a line.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # tests/, where the helpers are
from helpers import doors


def written(name: str, values: dict) -> str:
    """Return a part of the file: a line for each value."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
    return f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}"


def main() -> None:
    """Evaluate every expression with its library, and write the file."""
    recorded = {"versions": {library: importlib.import_module(library).__version__ for library in doors.LIBRARIES}}
    for library, parts in doors.LIBRARIES.items():
        names = doors.names_of(library)
        recorded[library] = {one: doors.evaluate(one, names) for part in parts for one in part}
    recorded["derivatives"] = {one: doors.autograd(one) for one in doors.DERIVATIVES}
    doors.RECORDS.write_text("{\n" + ",\n".join(written(*item) for item in recorded.items()) + "\n}\n")


if __name__ == "__main__":
    main()
