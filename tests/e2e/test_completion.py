# SPDX-License-Identifier: Apache-2.0
"""What bash offers after postroad: everything that there is, and nothing else."""
import os, re, subprocess

import house

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def offered(*words, name="postroad"):
    """Completions of the last of the words."""
    script = f'''. {ROOT}/conf/system/completion.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); PATH={os.path.abspath(house.BIN)}:$PATH; _postroad; printf '%s\\n' "${{COMPREPLY[@]}}"'''
    command = os.path.abspath(f"{house.BIN}/postroad") if name == "postroad" else name
    p = subprocess.run(["bash", "-c", script, "bash", command, *words], text=True, capture_output=True, timeout=60)
    assert p.returncode == 0 and not p.stderr, p.stderr
    return [w for w in p.stdout.split("\n") if w]


def test_every_subcommand_is_offered():
    with open(f"{ROOT}/cmd/cmd.h") as f:
        table = re.findall(r'C\("([\w-]+)",', f.read().split("#define COMMAND_LINKS")[0])
    assert set(offered("")) == set(table) | {"-c", "-v", "--json"}, offered("")
    assert offered("sta") == [w for w in ["start", "start-fg", "status"]]
    assert offered("-v", "rel") == ["reload"]


def test_settings_ids_and_directories():
    m = house.Postroad(relayhost="[127.0.0.1]:1")
    assert offered("-c", m.dir, "conf", "mydest") == ["mydestination"]
    qid = m.send()
    assert qid in offered("-c", m.dir, "queue", "hold", "")
    assert offered("-c", m.dir, "queue", "hold", qid[:8]) == [qid]
    assert m.dir in offered("-c", m.dir[:-2])
