"""judge.py over many files in one process: judge_many.py [--object|--chat] FILE..."""
import sys

import judge

args = sys.argv[1:]
judges = {"--object": judge.judge_object, "--chat": judge.judge_chat}
act = judges.get(args[0], judge.judge_responses)
bad = 0
for name in args[args[0] in judges:]:
    raw = open(name, "rb").read()
    verdict, _ = act(raw)
    for violation in verdict.violations:
        bad += 1
        print(f"{name}: {violation}")
sys.exit(1 if bad else 0)
