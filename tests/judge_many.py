"""judge.py over many files in one process: judge_many.py [--object] FILE..."""
import sys

import judge

args = sys.argv[1:]
as_object = args[:1] == ["--object"]
bad = 0
for name in args[as_object:]:
    raw = open(name, "rb").read()
    verdict, _ = judge.judge_object(raw) if as_object else judge.judge_responses(raw)
    for violation in verdict.violations:
        bad += 1
        print(f"{name}: {violation}")
sys.exit(1 if bad else 0)
