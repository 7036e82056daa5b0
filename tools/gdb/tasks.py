# SPDX-License-Identifier: Apache-2.0
"""gdb command "tasks": name and backtrace of every task that waits, in a live process or a core.

    gdb -x tools/gdb/tasks.py -p PID -ex tasks
    tasks NAME      only those of that name

The registers of a suspended task lie on its stack (util/ctx_fiber.c).  An unwinder that claims the innermost frame
hands them to gdb as that frame's caller, so nothing in the process is changed.  Built with TASKS=thread, every task
is a thread: use "thread apply all bt".
"""

import gdb
import gdb.unwinder

# Register -> offset from the saved stack pointer; then the size of all of it.
SAVED = {
    "i386:x86-64": (
        {"r15": 0, "r14": 8, "r13": 16, "r12": 24, "rbx": 32, "rbp": 40, "rip": 48},
        56,
        "rsp",
    ),
    "aarch64": (
        {"x29": 0, "pc": 8, **{"x%d" % (19 + i): 16 + 8 * i for i in range(10)}},
        160,
        "sp",
    ),
}


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Suspended(gdb.unwinder.Unwinder):
    """While a task is chosen, the caller of the innermost frame is that task's."""

    def __init__(self):
        super().__init__("suspended task")
        self.innermost = None
        self.task_sp = None
        self.saved = None

    def __call__(self, pending):
        if self.task_sp is None:
            return None
        offsets, size, sp_name = self.saved
        sp = pending.read_register(sp_name)
        if int(sp) != self.innermost:
            return None
        word = gdb.lookup_type("unsigned long")
        at = gdb.Value(self.task_sp).cast(word.pointer())
        info = pending.create_unwind_info(FrameId(gdb.Value(self.task_sp), pending.read_register("pc")))
        for name, offset in offsets.items():
            kind = pending.read_register(name).type
            info.add_saved_register(name, (at + offset // 8).dereference().cast(kind))
        info.add_saved_register(sp_name, gdb.Value(self.task_sp + size).cast(sp.type))
        return info


class Tasks(gdb.Command):
    """Name and backtrace of every suspended task; with an argument, of those of that name."""

    def __init__(self):
        super().__init__("tasks", gdb.COMMAND_STACK)
        self.unwinder = Suspended()
        gdb.unwinder.register_unwinder(None, self.unwinder, replace=True)

    @staticmethod
    def all_tasks():
        kind = gdb.lookup_type("struct task")
        link = [f for f in kind.fields() if f.name == "all"][0].bitpos // 8
        head = gdb.parse_and_eval("&loop.all")
        at = head["next"]
        while at != 0 and at != head:
            yield gdb.Value(int(at) - link).cast(kind.pointer())
            at = at["next"]

    @staticmethod
    def state(task):
        if task["why"] == 0:
            return "not begun"
        return ("waits" if task["waiting"] else "ready") + (", told to stop" if task["stopping"] else "")

    def invoke(self, arg, _tty):
        arch = gdb.newest_frame().architecture().name()
        if arch not in SAVED:
            raise gdb.GdbError("no idea how tasks are suspended on " + arch)
        self.unwinder.saved = SAVED[arch]
        self.unwinder.innermost = int(gdb.newest_frame().read_register(SAVED[arch][2]))
        running = gdb.parse_and_eval("loop.self")
        count = 0
        for task in self.all_tasks():
            name = task["name"].string(errors="replace")
            if arg and arg != name:
                continue
            count += 1
            if task == running:
                print('Task %s "%s" runs' % (task, name))
                continue
            print('Task %s "%s" %s' % (task, name, self.state(task)))
            if task["why"] != 0:
                self.backtrace(int(task["ctx"]["sp"]))
        print("%d tasks" % count)

    def backtrace(self, sp):
        self.unwinder.task_sp = sp
        gdb.invalidate_cached_frames()
        try:
            lines = gdb.execute("bt", to_string=True).splitlines()
            print("\n".join(line for line in lines if not line.startswith("#0 ")))
        finally:
            self.unwinder.task_sp = None
            gdb.invalidate_cached_frames()


Tasks()
