"""Style and script of the page. Nothing here is made of what a report holds."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --paper: #fff; --soft: #5a6470; --line: #c9ced6;
  --panel: #f3f5f8; --placed: #bcd6ff; --placed-line: #1f5fc4; --illegal: #ffc9c4; --illegal-line: #b3140a;
  --overlapping: #ffe3b0; --overlapping-line: #8a5a00; --flying: #e6d4ff; --flying-line: #6a35b0;
  --plain: #e4e7eb; --plain-line: #6b7480; --good: #146c2e; --never: #c2352b;
  --met1: #dbe7fb; --met2: #a9c8f7; --met3: #5f97e8; --met4: #1f5fc4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e2e5e9; --paper: #14171b; --soft: #9aa4b0;
  --line: #3a424c; --panel: #1e2329; --placed: #1d3f73; --placed-line: #7fb0ff; --illegal: #6b1a15;
  --illegal-line: #ff8a80; --overlapping: #573f0c; --overlapping-line: #ffc861; --flying: #44285f;
  --flying-line: #c9a2ff; --plain: #2a3037; --plain-line: #8d97a3; --good: #6fd08c; --never: #ff7b70;
  --met1: #1a2c47; --met2: #23467c; --met3: #3a74c9; --met4: #86b6ff } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 1.5rem auto; max-width: 84rem; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 0 .4rem } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem }
.verdict { font-weight: 600 } .bad { color: var(--illegal-line) } .fine { color: var(--good) }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0 }
dl.facts dt { color: var(--soft) } dl.facts dd { margin: 0; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: .5rem 0; font-size: .92em }
td, th { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 600; vertical-align: bottom } caption { text-align: left }
td:first-child, th:first-child, .t { text-align: left } td.no { color: var(--never); font-weight: 700 }
td.outcome { font-family: ui-monospace, monospace; overflow-wrap: anywhere; max-width: 60rem }
pre { background: var(--panel); padding: .6rem; overflow-x: auto; font-size: .85em; margin: .3rem 0;
  max-height: 28rem }
code { font-size: .92em; overflow-wrap: anywhere }
section.finding { border-left: 4px solid var(--illegal-line); padding-left: 1rem; margin: 1.2rem 0 }
.message { overflow-wrap: anywhere } figure { margin: .8rem 0 } figcaption, .note { color: var(--soft) }
.note { margin: .1rem 0 } .scroll { overflow-x: auto; position: relative }
.timeline .scroll { display: flex; border: 1px solid var(--line); border-radius: 6px }
.names {
  position: sticky; left: 0; z-index: 1; background: var(--paper); border-right: 1px solid var(--line);
  flex: none; width: 7.5rem }
.names span {
  position: absolute; left: .5rem; right: .2rem; height: 24px; line-height: 24px; overflow: hidden;
  font-size: .85em; white-space: nowrap; text-overflow: ellipsis }
svg { display: block; flex: none } svg text { font: 11px ui-monospace, monospace; fill: var(--ink) }
.lane { stroke: var(--line) }
.order { fill: none; stroke: var(--placed-line); stroke-width: 1.5; opacity: .7 }
.op rect { fill: var(--plain); stroke: var(--plain-line) } .op { cursor: default }
.op.placed rect { fill: var(--placed); stroke: var(--placed-line) }
.op.illegal rect { fill: var(--illegal); stroke: var(--illegal-line); stroke-width: 3; stroke-dasharray: 6 2 }
.op.overlapping rect { fill: var(--overlapping); stroke: var(--overlapping-line) }
.op.flying rect { fill: var(--flying); stroke: var(--flying-line); stroke-dasharray: 3 3 }
.op text.place { font-size: 10px; fill: var(--placed-line) }
.op:focus { outline: none } .op:focus rect, .op.shown rect { stroke: var(--ink); stroke-width: 3 }
.event path { stroke: var(--never); stroke-dasharray: 4 3 }
.event text { fill: var(--never); font-size: 10px }
.panel {
  background: var(--panel); border-radius: 6px; padding: .4rem .8rem; margin: .4rem 0; min-height: 3.4rem }
.panel p { margin: .1rem 0; overflow-wrap: anywhere } .panel .state { font-family: ui-monospace, monospace }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .3rem 0;
  color: var(--soft); font-size: .9em }
.legend i { display: inline-block; width: 1.2em; height: .8em; margin-right: .4em; border: 1px solid }
i.placed { background: var(--placed) } i.illegal { background: var(--illegal) }
i.overlapping { background: var(--overlapping) } i.flying { background: var(--flying) }
i.plain { background: var(--plain) }
svg.pairs text { font-size: 8px; text-anchor: end; fill: var(--soft) } svg.pairs:focus { outline: 2px solid }
path.met0 { fill: none; stroke: var(--never); stroke-width: 1 } path.met1 { fill: var(--met1) }
path.met2 { fill: var(--met2) } path.met3 { fill: var(--met3) } path.met4 { fill: var(--met4) }
.cursor { fill: none; stroke: var(--ink); stroke-width: 2 }
td.met0 { color: var(--never) } td.met1 { background: var(--met1) } td.met2 { background: var(--met2) }
td.met3 { background: var(--met3) } td.met4 { background: var(--met4) } td.none { color: var(--soft) }
@media (prefers-color-scheme: light) { td.met4 { color: #fff } }
@media (prefers-color-scheme: dark) { td.met4 { color: #000 } }
.grid { stroke: var(--line) } .bars rect { fill: var(--met3) } .bars rect:hover { fill: var(--met4) }
button { font: inherit; padding: .2rem .8rem } summary { cursor: pointer }
"""

SCRIPT = """
"use strict";
(function () {
  function line(panel, text, name) {
    const p = document.createElement("p");
    p.textContent = text;
    if (name) p.className = name;
    panel.append(p);
  }
  function tell(figure, op) {
    const panel = figure.querySelector(".panel"), d = op.dataset;
    for (const other of figure.querySelectorAll(".op.shown")) other.classList.remove("shown");
    op.classList.add("shown");
    panel.replaceChildren();
    const lane = figure.querySelectorAll(".names span")[d.thread];
    line(panel, (lane ? lane.textContent : "") + ": " + d.text + " \\u2192 " + d.result);
    line(panel, "called at " + d.called + ", returned at " + d.returned);
    if (d.place) {
      line(panel, "place " + d.place + " in the longest order; state after it: " + d.state, "state");
    } else if (d.kind === "illegal") {
      line(panel, "cannot be placed; state before it: " + last(figure), "state");
    } else {
      line(panel, "not placed; state after the longest order: " + last(figure), "state");
    }
  }
  function last(figure) {
    let best = null;
    for (const op of figure.querySelectorAll(".op")) {
      if (op.dataset.place && (!best || +op.dataset.place > +best.dataset.place)) best = op;
    }
    return best ? best.dataset.state : figure.querySelector(".panel").dataset.initial;
  }
  function place(op) { return op.querySelector("rect").getBoundingClientRect(); }
  function next(ops, op, key) {
    const i = ops.indexOf(op), lane = op.dataset.thread, here = place(op);
    if (key === "Home") return ops[0];
    if (key === "End") return ops[ops.length - 1];
    if (key === "ArrowRight" || key === "ArrowLeft") {
      const step = key === "ArrowRight" ? 1 : -1;
      for (let n = i + step; n >= 0 && n < ops.length; n += step) {
        if (ops[n].dataset.thread === lane) return ops[n];
      }
      return op;
    }
    const wanted = +lane + (key === "ArrowDown" ? 1 : -1);
    let best = null, least = Infinity;
    for (const other of ops) {
      if (+other.dataset.thread !== wanted) continue;
      const far = Math.abs(place(other).left - here.left);
      if (far < least) { least = far; best = other; }
    }
    return best || op;
  }
  for (const figure of document.querySelectorAll(".timeline")) {
    const svg = figure.querySelector("svg"), ops = [...svg.querySelectorAll(".op")];
    const first = svg.querySelector(".illegal") || ops[0];
    first.setAttribute("tabindex", "0");
    if (first.classList.contains("illegal")) {
      const scroll = figure.querySelector(".scroll");
      scroll.scrollLeft = +first.querySelector("rect").getAttribute("x") - scroll.clientWidth / 2;
    }
    const over = event => { const op = event.target.closest(".op"); if (op) tell(figure, op); };
    svg.addEventListener("mouseover", over);
    svg.addEventListener("focusin", over);
    svg.addEventListener("keydown", event => {
      const op = event.target.closest(".op");
      if (!op || !/^(Arrow|Home$|End$)/.test(event.key)) return;
      event.preventDefault();
      const other = next(ops, op, event.key);
      op.setAttribute("tabindex", "-1");
      other.setAttribute("tabindex", "0");
      other.focus();
      other.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }
  for (const button of document.querySelectorAll("button.jump")) {
    button.addEventListener("click", () => {
      const op = document.getElementById(button.dataset.figure + "-illegal");
      op.scrollIntoView({ block: "nearest", inline: "center" });
      op.focus();
    });
  }
  for (const svg of document.querySelectorAll("svg.pairs")) {
    const data = JSON.parse(svg.dataset.pairs), cell = +svg.dataset.cell, left = +svg.dataset.left;
    const cursor = svg.querySelector(".cursor"), panel = svg.closest("figure").querySelector(".panel");
    let row = 0, column = 0;
    function show() {
      cursor.setAttribute("x", left + column * cell - 0.5);
      cursor.setAttribute("y", row * cell - 0.5);
      cursor.setAttribute("visibility", "visible");
      const count = data.counts[row][column];
      panel.replaceChildren();
      line(panel, data.names[row] + " beside " + data.names[column]);
      line(panel, count ? "met in " + count.toLocaleString("en") + " samples" : "never met");
    }
    svg.addEventListener("mousemove", event => {
      const box = svg.getBoundingClientRect();
      const r = Math.floor((event.clientY - box.top) / cell);
      const c = Math.floor((event.clientX - box.left - left) / cell);
      if (r >= 0 && r < data.names.length && c >= 0 && c <= r) { row = r; column = c; show(); }
    });
    svg.addEventListener("focus", show);
    svg.addEventListener("keydown", event => {
      if (!event.key.startsWith("Arrow")) return;
      event.preventDefault();
      if (event.key === "ArrowDown") row = Math.min(row + 1, data.names.length - 1);
      if (event.key === "ArrowUp") row = Math.max(row - 1, 0);
      if (event.key === "ArrowRight") column += 1;
      if (event.key === "ArrowLeft") column -= 1;
      column = Math.max(0, Math.min(column, row));
      show();
    });
  }
})();
"""
