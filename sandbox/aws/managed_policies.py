#!/usr/bin/env python3
"""Write the names of the policies that AWS manages to sandbox/src/iam/managed_policies.txt.

Reads the policies of moto. Each line is a path and a name, such as service-role/AWSLambdaBasicExecutionRole. Run it
again after an update of tests/requirements.txt.

Example, with the Python environment of the tests:
  target/venv/bin/python sandbox/aws/managed_policies.py
  target/venv/bin/python sandbox/aws/managed_policies.py --check
"""

import argparse
import json
import sys
from pathlib import Path

from moto.iam.aws_managed_policies import aws_managed_policies_data

TARGET = Path(__file__).resolve().parents[1] / "src/iam/managed_policies.txt"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the names of the policies that AWS manages.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is not up to date")
    check = parser.parse_args().check
    policies = json.loads(aws_managed_policies_data)
    names = sorted(policy.get("Path", "/").lstrip("/") + name for name, policy in policies.items())
    text = "".join(f"{name}\n" for name in names)
    if not check:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        print(f"{TARGET}: not up to date")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
