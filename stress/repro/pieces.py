"""The fixed texts of a standalone test: the runner, the checks, and helpers by need."""

from __future__ import annotations

import inspect
import re
from typing import Any

from ..keys import ObjectKey
from ..sampling import faults, freeze, hostile, subject, values
from ..sampling.scenario import Scenario
from ..sampling.values import HOT_KEYS

__all__ = [
    "CHECKS", "HEAD", "IN_PROCESS", "OUT_OF_PROCESS", "RUNNER", "helpers", "imports",
    "keys_and_values",
]  # fmt: skip

HEAD = "from __future__ import annotations\n"

RUNNER = '''
def sample(count):
    """Run the threads on fresh objects, one set after the other; what was wrong."""
    objects = [shared() for _ in range(count)]
    results = [[None] * len(THREADS) for _ in range(count)]
    arrived = [array("q", [0]) for _ in THREADS]
    start = threading.Barrier(len(THREADS))
    pauses = [[range(random.randrange(TURNS)) for _ in range(count)] for _ in THREADS]

    def walk(me):
        mine, others = memoryview(arrived[me]), [memoryview(a) for a in arrived if a is not arrived[me]]
        function, pause = THREADS[me], pauses[me]
        if CPUS:  # threads that share one do not meet: set off from different ones
            os.sched_setaffinity(0, {CPUS[me % len(CPUS)]})
            os.sched_setaffinity(0, CPUS)
        start.wait()
        for n in range(count):
            mine[0] = n + 1
            spins = 0
            for other in others:  # meet the others, then set off at some distance
                while other[0] <= n:
                    spins += 1
                    if spins > PATIENCE:
                        time.sleep(0)
            for _ in pause[n]:
                pass
            results[n][me] = function(*objects[n])

    def walk_all():
        threads = [threading.Thread(target=walk, args=(t,), daemon=True) for t in range(len(THREADS))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with troubles():
        walk_all()
    found = [wrong(objects[n], results[n]) for n in range(count)]
    return [text for text in found if text]


GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
PATIENCE = 0 if GIL else 300  # turns of waiting before the processor is offered to others
CPUS = [] if GIL or not hasattr(os, "sched_getaffinity") else sorted(os.sched_getaffinity(0))
if GIL:
    sys.setswitchinterval(1e-6)  # threads take turns inside an operation
'''

IN_PROCESS = '''
def test_repro_{identity}():
    for _ in range(0, RUNS, BATCH):
        found = sample(BATCH)
        assert not found, found[0]


def main():
    """Without pytest: count."""
    failing = sum([len(sample(BATCH)) for _ in range(0, RUNS, BATCH)])
    print(f"reproduced {{failing}} of {{RUNS}}")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
'''

OUT_OF_PROCESS = '''
def test_repro_{identity}():
    """In a process of its own, which this scenario can end."""
    path = os.pathsep.join([entry or os.getcwd() for entry in sys.path])
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__],
        env={{**os.environ, "PYTHONPATH": path}},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = f"{{done.stdout[-500:]}}\\n{{done.stderr[:8000]}}"
    assert done.returncode == 0, f"status {{done.returncode}}\\n{{said}}"


def main():
    """What the test runs: ends with the first failure, if the process does not."""
    for number in range(0, RUNS // BATCH):
        print(f"batch {{number}}", flush=True)
        faulthandler.dump_traceback_later(STALL_SECONDS, exit=True)  # a batch that hangs
        found = sample(BATCH)
        faulthandler.cancel_dump_traceback_later()
        if found:
            print(f"reproduced {{len(found)}} of {{(number + 1) * BATCH}}: {{found[0]}}", flush=True)
            os._exit(1)  # nothing more is taken down: memory may be broken
    print(f"reproduced 0 of {{RUNS}}")
    return 0


STALL_SECONDS = 10

if __name__ == "__main__":
    sys.exit(main())
'''

_UNSOUND = '''
def wrong(objects, results):
    """What does not fit together when all is at rest."""
    a = objects[0]
    try:
        size = len(a)
        items = list(islice(a, size + 8))
        if len(items) != size:
            return f"len is {{size}}, but iteration yields {{len(items)}}"
{more}        if any([item not in KNOWN for item in items]):
            return f"it holds what nobody put there: {{items!r}}"
    except Exception as error:
        return f"looking at it raises {{error!r}}"
    return None


KNOWN = {{*K, *V, *range(10_000), None}}
'''
_UNIQUE = """\
        if len(set(items)) != size:
            return f"iteration yields an element twice: {items!r}"
        if any([item not in a for item in items]):
            return f"iteration yields {items!r}, of which not all are in it"
"""
_PAIRS = """\
        pairs = list(a.items())
        if len(pairs) != size or any([a[key] is not value for key, value in pairs]):
            return f"items() does not fit what [] gives: {pairs!r}"
"""

CHECKS = {
    "outcome": """
def wrong(objects, results):
    {unpack} = objects
    outcome = {outcome}
    return None if outcome in EXPECTED else f"no order of the calls gives {{outcome!r}}"
""",
    "error": """
def wrong(objects, results):
    for (thread, index), names in ALLOWED.items():
        result = str(results[thread][index]) if type(results[thread][index]) is str else ""
        if result.startswith("raises ") and result.removeprefix("raises ") not in names:
            return f"call {index} of thread {thread} {result}"
    return None
""",
    "references": '''
def wrong(objects, results):
    """References that were given up twice, before they end the process."""
    if sys.getrefcount(objects[0]) < HELD:
        return "the container lost a reference that is still in use"
    counts = [sys.getrefcount(key) for key in K]
    if min(counts) < 2:
        return f"a key lost references that are still in use: {counts}"
    return None


def held():
    objects = (object(),)
    return sys.getrefcount(objects[0])


HELD = held()
''',
    "nothing": '''
def wrong(objects, results):
    """Nothing to look at: the process comes to its end, or it does not."""
    return None
''',
    "unsound set": _UNSOUND.format(more=_UNIQUE),
    "unsound mapping": _UNSOUND.format(more=_UNIQUE + _PAIRS),
    "unsound sequence": _UNSOUND.format(more=""),
    "unsound table": """
def wrong(objects, results):
    return None
""",
}

_FAILED = '''
def failed(error):
    """An exception as a result."""
    return f"raises {type(error).__name__}"
'''

_FILLED = {
    "set": "    made = {name}()\n    for item in contents:\n        made.add(item)\n    return made",
    "sequence": "    made = {name}()\n    for item in contents:\n        made.append(item)\n    return made",
    "mapping": (
        "    made = {name}()\n    for key, value in contents.items():\n        made[key] = value\n"
        "    return made"
    ),
    "table": (
        "    made = {name}()\n    for key, value in contents.items():\n        made.set(key, value)\n"
        "    return made"
    ),
    "frozen": "    return {name}(contents)",
}

_AGED = {
    "mapping": (
        "    for number in range(5):\n        made[f'ghost {number}'] = 0\n"
        "    for number in range(5):\n        del made[f'ghost {number}']\n    return made"
    ),
    "set": (
        "    for number in range(5):\n        made.add(f'ghost {number}')\n"
        "    for number in range(5):\n        made.discard(f'ghost {number}')\n    return made"
    ),
}

_LOOKUPS = {
    "membership": """
def lookups(a):
    return tuple([key in a for key in K])
""",
    "values": """
def lookups(a):
    found = []
    for key in K:
        try:
            found.append(a[key])
        except KeyError:
            found.append("absent")
    return tuple(found)
""",
}

_TABLE_ITEMS = """
def table_items(a):
    found = []
    a.foreach(lambda key, value: found.append((key, value)))
    return frozenset(found)
"""

_TROUBLES = '''
@contextlib.contextmanager
def troubles():
    """What happens in the process beside the threads."""
    with contextlib.ExitStack() as stack:
        for name in FAULTS:
            if name in _TROUBLES:  # the others are not to be had without the harness
                stack.enter_context(_TROUBLES[name]())
        yield


_TROUBLES = {
    "collections": lambda: _beside(_collect),
    "thread churn": lambda: _beside(_churn),
    "signals": lambda: _signals(),
}
'''

_KEYS = {
    "tiny": "number",
    "interned": 'sys.intern(f"key{number}")',
    "str": 'f"key{number}-{salt}"',
    "int": "10**9 + {salt} * 4096 + number * 8",
    "tuple": '(f"key{number}", {salt}, number)',
    "float": "number + 0.5",
    "mixed": (
        '[f"key{number}-{salt}", 10**9 + {salt} * 4096 + number * 8, (f"key{number}", {salt}, number)]'
        "[number % 3]"
    ),
    "object": 'ObjectKey(f"{number}-{salt}")',
    "hostile": 'HostileKey(f"{number}-{salt}", {hostile!r})',
}
_VALUES = {
    "int": "10**9 + {salt} * 4096 + number",
    "small": "number + 1",
    "float": "number + 1000.25",
    "token": 'Token(f"V{number}")',
}


def keys_and_values(scenario: Scenario, keys: list[int], values: list[int]) -> list[str]:
    """The lines that make `K`, `V` and the names of single keys and values."""
    drawn = scenario.values
    count = max(drawn.size, HOT_KEYS)

    def expression(text: str) -> str:
        return text.replace("{salt}", str(drawn.salt)).replace("{hostile!r}", repr(drawn.hostile))

    key = expression(_KEYS["hostile" if drawn.hostile else drawn.style])
    value = expression(_VALUES[drawn.value_style])
    return [
        f"K = [{key} for number in range({count})]",
        f"V = [{value} for number in range({count + HOT_KEYS})]",
        *[f"K{number} = K[{number}]" for number in keys],
        *[f"V{number} = V[{count + number}]" for number in values],
    ]


def helpers(code: str, expected: dict[str, Any], name: str) -> list[str]:
    """The functions and classes that the code calls, as sources."""
    found: list[str] = []
    shape = str(expected.get("shape", "set"))

    def speaks(word: str) -> bool:
        return re.search(rf"\b{word}\b", "\n".join([code, *found])) is not None

    if speaks("troubles"):
        found += [inspect.getsource(each).strip() for each in faults.SOURCES]
        found.append(f"_PAUSE = {faults.PAUSE}")
        found.append(_TROUBLES.strip("\n"))
    if speaks("failed"):
        found.append(_FAILED.strip("\n"))
    if speaks("filled"):
        body = _FILLED["frozen" if expected.get("frozen") else shape].format(name=name)
        if name == "SplitDict":
            body = body.replace("SplitDict()", "SplitDict(SharedKeys())")
        found.append(f"def filled(contents):\n{body}")
    if speaks("aged"):
        body = _AGED.get(shape, _AGED["set"])
        text = '    """With the traces of removed keys in it."""'
        found.append(f"def aged(made):\n{text}\n{body}")
    if speaks("watched"):
        found.append(inspect.getsource(subject.watched).strip())
    if speaks("lookups"):
        of = "values" if shape == "mapping" else "membership"
        found.append(_LOOKUPS[of].strip("\n"))
    if speaks("table_items"):
        found.append(_TABLE_ITEMS.strip("\n"))
    if speaks("instance_dict"):
        found += [_source(subject._Record), _source(subject._instance_dict, "instance_dict")]
    if speaks("renewed"):
        found.append(_source(subject._renewed, "renewed"))
    if speaks("freeze"):
        found += _freezing()
    if speaks("HostileKey"):
        found += [_source(each) for each in (hostile.HostileError, hostile._Here)]
        found += ["HERE = _Here()", f"_RARELY = {hostile._RARELY}"]
        found += [_source(each) for each in (hostile.HostileKey, hostile._reenter)]
    for kind in (ObjectKey, values.Token, values.Factory, values.Fresh):
        if speaks(kind.__name__):
            found.append(_source(kind))
    if speaks("MISSING") and not expected.get("native"):
        found.append("MISSING = object()")
    return found


def _source(thing: Any, name: str = "") -> str:
    text = inspect.getsource(thing).strip()
    return text.replace(f"def {thing.__name__}(", f"def {name}(", 1) if name else text


def _freezing() -> list[str]:
    """Results as values that can be compared, exactly as the expected ones were made."""
    names = [freeze.freeze, freeze._freeze_container, freeze._is_values_view]
    names += [freeze._key, freeze._hashable, freeze._few]
    source = inspect.getsource(freeze)
    iterators = source[source.index("_ITERATORS:") : source.index("_DEPTH")].strip()
    return [
        "SCALARS = (type(None), bool, int, float, str, bytes)",
        iterators,
        f"_DEPTH = {freeze._DEPTH}\n_MOST = {freeze._MOST}",
        "class Raised:\n    name = text = ''",
        *[_source(each) for each in names],
    ]


_MODULES = (
    "collections", "contextlib", "copy", "faulthandler", "gc", "os", "pickle", "random", "signal",
    "subprocess", "sys", "threading", "time", "types",
)  # fmt: skip
_NAMES = {
    "array": "from array import array",
    "Callable": "from collections.abc import Callable",
    "Counter": "from collections import Counter",
    "Iterable": "from collections.abc import Iterable",
    "Iterator": "from collections.abc import Iterator",
    "Mapping": "from collections.abc import Mapping",
    "OrderedDict": "from collections import OrderedDict",
    "Set": "from collections.abc import Set",
    "defaultdict": "from collections import defaultdict",
    "deque": "from collections import deque",
    "islice": "from itertools import islice",
    "length_hint": "from operator import length_hint",
    "Any": "from typing import Any",
}


def imports(code: str, target: str) -> str:
    """The import statements that the code needs, and that of the target."""
    lines = [f"import {name}" for name in _MODULES if re.search(rf"\b{name}\.", code)]
    if "collections.abc" in code:
        lines.append("import collections.abc")
    module, _, path = target.partition(":")
    top = path.partition(".")[0]
    for name, line in _NAMES.items():
        if re.search(rf"(?<![\w.]){name}\b", code) and name != top:
            lines.append(line)
    text = "\n".join(sorted(lines, key=lambda line: (line.startswith("from"), line)))
    if module == "builtins":
        return text + "\n"
    names = [top]
    if module == "concurrent_tables":
        names += [each for each in ("MISSING", "SharedKeys") if re.search(rf"\b{each}\b", code)]
    return f"{text}\n\nfrom {module} import {', '.join(sorted(names))}\n"
