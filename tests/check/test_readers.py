"""Files: what they say is what the history holds, and what is wrong is named by its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from concurrent_tables import MISSING
from stress.check import FOREVER, History, HistoryError, Raised, Status, read_history, write_history

HEADER = '{"format": "concurrent-tables-history", "version": 1}\n'


def _read(tmp_path: Path, text: str, format: str) -> History:
    path = tmp_path / "history.txt"
    path.write_text(text, encoding="utf-8")
    return read_history(path, format)


def test_etcd_answers(tmp_path: Path) -> None:
    history = _read(
        tmp_path,
        "INFO  jepsen.core - Worker 0 starting\n"
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
        "INFO  jepsen.util - 0\t:ok\t:read\tnil\n"
        "INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n"
        "INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]\n"
        "INFO  jepsen.util - 2\t:invoke\t:write\t3\n"
        "INFO  jepsen.util - 1\t:fail\t:cas\t[3 4]\n"
        "INFO  jepsen.util - 2\t:info\t:write\t:timed-out\n"
        "INFO  jepsen.util - 3\t:invoke\t:read\tnil\n"
        "INFO  jepsen.util - 3\t:fail\t:read\t:timed-out\n"
        "INFO  jepsen.util - 4\t:invoke\t:cas\t[0 1]\n",
        "etcd",
    )
    assert history.model == "cas-register"
    rows = [
        (op.client, op.method, op.args, op.result, op.invoke, op.response, op.status)
        for op in history
    ]
    assert rows == [
        (0, "read", (), None, 2, 3, Status.OK),
        (1, "cas", (3, 4), False, 5, 7, Status.OK),
        (2, "write", (3,), None, 6, FOREVER, Status.INFO),
        (3, "read", (), None, 9, 10, Status.FAIL),
        (4, "cas", (0, 1), None, 11, FOREVER, Status.INFO),
    ]


def test_kv_answers(tmp_path: Path) -> None:
    history = _read(
        tmp_path,
        '{:process 0, :type :invoke, :f :put, :key "k", :value "a \\"b\\""}\n'
        '{:process 1, :type :invoke, :f :get, :key "k", :value nil}\n'
        '{:process 1, :type :ok, :f :get, :key "k", :value ""}\n'
        '{:process 0, :type :ok, :f :put, :key "k", :value "a \\"b\\""}\n',
        "kv",
    )
    assert [(op.method, op.args, op.result) for op in history] == [
        ("put", ("k", 'a "b"'), None),
        ("get", ("k",), ""),
    ]


@pytest.mark.parametrize(
    ("format", "text", "line", "message"),
    [
        ("etcd", "INFO  jepsen.util - 0 :invoke :write x\n", 1, "a number was expected"),
        ("etcd", "\nINFO  jepsen.util - 0 :ok :read 1\n", 2, "which it did not call"),
        ("etcd", "hello\n", 1, "not a line"),
        ("etcd", "INFO  jepsen.util - 0 :invoke :read nil\n" * 2, 2, "has not returned"),
        ("etcd", "INFO  jepsen.util - 0 :invoke :cas 3\n", 1, "EXPECTED NEW"),
        ("etcd", "", 1, "no operation"),
        ("kv", '{:process 0, :type :invoke, :f :put, :key "k"}\n', 1, "not a line"),
        ("kv", '{:process 0, :type :invoke, :f :put, :key "k", :value nil}\n', 1, "needs a text"),
        ("kv", '{:process 0, :type :ok, :f :get, :key "k", :value "v"}\n', 1, "did not call"),
        ("json", "{", 1, "Expecting"),
        ("json", "[]\n", 1, "an object was expected"),
        ("json", '{"format": "x"}\n', 1, "the first line must have"),
        ("json", HEADER + '{"client": 0}\n', 2, "lacks"),
        (
            "json",
            HEADER + '{"client": 0, "method": "get", "args": [], "invoke": 1, "x": 1}\n',
            2,
            "unknown",
        ),
        (
            "json",
            HEADER + '{"client": 0, "method": "get", "args": [], "invoke": 1}\n',
            2,
            "needs a response",
        ),
        (
            "json",
            HEADER + '{"client": 0, "method": "get", "args": [], "invoke": 2, "response": 1}\n',
            2,
            "before invocation",
        ),
        ("json", HEADER, 1, "no operation"),
    ],
)
def test_errors_name_file_and_line(
    tmp_path: Path, format: str, text: str, line: int, message: str
) -> None:
    with pytest.raises(HistoryError) as caught:
        _read(tmp_path, text, format)
    assert str(caught.value).startswith(f"{tmp_path / 'history.txt'}:{line}: ")
    assert message in str(caught.value)


def test_what_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"ok\n\xff\n")
    with pytest.raises(HistoryError, match=r"binary:2: not UTF-8"):
        read_history(path, "etcd")
    with pytest.raises(HistoryError, match="No such file"):
        read_history(tmp_path / "nowhere", "etcd")


VALUES: list[Any] = [
    *(None, True, 0, -1.5, "text", b"\x00\xff", MISSING),
    *((1, (2, "x")), [1, [2]], {1, 2}, frozenset({"a"}), {"k": (1,)}, {1: "x", (2, 3): None}),
    *({"$tuple": [1]}, {"$k": 1}, {}, (), Raised("KeyError")),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_round_trip(tmp_path: Path, value: Any) -> None:
    history = History("dict")
    argument = None if isinstance(value, Raised) else value
    history.append(3, "pop", ("k", argument), value, 10, 20)
    history.append(4, "set", (argument, 1), None, 11, None, Status.INFO)
    history.append(5, "set", ("k", 1), None, 12, 15, Status.FAIL)
    write_history(history, tmp_path / "h")
    again = read_history(tmp_path / "h")
    assert again == history
    assert type(again.results[0]) is type(value)


def test_a_value_that_json_cannot_hold(tmp_path: Path) -> None:
    history = History()
    history.append(0, "set", ("k", object()), None, 1, 2)
    with pytest.raises(HistoryError, match="no values of type object"):
        write_history(history, tmp_path / "h")
