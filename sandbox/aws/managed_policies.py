#!/usr/bin/env python3
"""Write the names of the policies that AWS manages to sandbox/src/iam/managed_policies.txt.

Reads the policies of moto. Each line is a path and a name, such as service-role/AWSLambdaBasicExecutionRole. Run it
again after an update of tests/requirements.txt.

Example, with the Python environment of the tests:
  target/venv/bin/python sandbox/aws/managed_policies.py
"""

import json
from pathlib import Path

from moto.iam.aws_managed_policies import aws_managed_policies_data

TARGET = Path(__file__).resolve().parents[1] / "src/iam/managed_policies.txt"


def main() -> None:
    policies = json.loads(aws_managed_policies_data)
    names = sorted(policy.get("Path", "/").lstrip("/") + name for name, policy in policies.items())
    TARGET.write_text("".join(f"{name}\n" for name in names))


if __name__ == "__main__":
    main()
