// The mistakes that are planted (mutations.ts) into event time: watermarks, windows, timers and joins.

import type { Mutation } from "./mutation.ts";

export const plantedTime: readonly Mutation[] = [
  {
    name: "what splits know is not in the snapshot",
    edits: [
      {
        file: "operators/split-watermarks.ts",
        from: `      hasEnded ? [] : [split],`,
        to: `      hasEnded || split.split >= 0 ? [] : [split],`,
      },
    ],
  },
  {
    name: "how far operators had come is not in the snapshot",
    edits: [
      {
        file: "task/assembly.ts",
        from: `    elements: () => kept.elements(watermark()),`,
        to: `    elements: () => kept.elements(watermark()).slice(0, 0),`,
      },
    ],
  },
  {
    name: "a timer of event time is lost at another size",
    edits: [
      {
        file: "task/snapshot-parts.ts",
        from: `    .filter((handle) => intersectRanges(handle.range, own) !== undefined);`,
        to:
          `    .filter((handle) => intersectRanges(handle.range, own) !== undefined)\n` +
          `    .filter(\n` +
          `      ({ state, range }) =>\n` +
          `        state !== "timers/event-time" ||\n` +
          `        (range.first === own.first && range.last === own.last),\n` +
          `    );`,
      },
    ],
  },
  {
    name: "event time goes on before its timers have fired",
    edits: [
      {
        file: "task/chain.ts",
        from: `      if (operator?.advance(due, output) === false) return false;`,
        to:
          `      this.#behind(link, due, link.isIdle);\n` +
          `      if (operator?.advance(due, output) === false) return false;`,
      },
    ],
  },
  {
    name: "timers fire in any order",
    edits: [
      {
        file: "operators/timers.ts",
        from: `      if (parent.time <= held.time) return;`,
        to: `      if (parent.time <= held.time + 50) return;`,
      },
    ],
  },
  {
    name: "a timer that was deleted fires",
    edits: [
      {
        file: "operators/timers.ts",
        from: `    if (held === undefined) return "unknown";\n    this.#remove(held);`,
        to: `    if (held === undefined) return "unknown";`,
      },
    ],
  },
  {
    name: "sessions that become one lose what one of them held",
    edits: [
      {
        file: "operators/window.ts",
        from: `      const both = before === undefined ? held : this.#contents.merge(before, held);`,
        to: `      const both = before ?? held;`,
      },
    ],
  },
  {
    name: "a pane is counted twice",
    edits: [
      {
        file: "operators/pane-merges.ts",
        from: `    while (at > 0 && starts[at - 1]! >= merges.upTo) at--;`,
        to: `    while (at > 0 && starts[at - 1]! >= merges.upTo - 10) at--;`,
      },
    ],
  },
  {
    name: "a join forgets a row one millisecond early",
    edits: [
      {
        file: "operators/interval-join.ts",
        from: `    timers.registerEventTime(time + stays);`,
        to: `    timers.registerEventTime(time + stays - 1);`,
      },
      {
        file: "operators/interval-join.ts",
        from: `      ctx.state.left.delete(time - leftStays);\n      ctx.state.right.delete(time - rightStays);`,
        to: `      ctx.state.left.delete(time + 1 - leftStays);\n      ctx.state.right.delete(time + 1 - rightStays);`,
      },
    ],
  },
  {
    name: "a split that is idle is waited for",
    edits: [
      {
        file: "operators/split-watermarks.ts",
        from: `      if (hasEnded || isIdle) continue;`,
        to: `      if (hasEnded) continue;`,
      },
    ],
  },
  {
    name: "windows do not hear of the end of the input",
    edits: [
      {
        file: "task/chain.ts",
        from: `      if (operator?.advance(due, output) === false) return false;`,
        to: `      if (due !== endOfTime && operator?.advance(due, output) === false) return false;`,
      },
    ],
  },
  {
    name: "the end of a generator is told before the rows of its last batch",
    edits: [
      {
        file: "task/task-source.ts",
        from: `    return this.#times.timed(rows, split, now);`,
        to: `    this.#endSplits();\n    return this.#times.timed(rows, split, now);`,
      },
    ],
  },
  {
    name: "windows have other bounds after a restore",
    edits: [
      {
        file: "operators/pane-window.ts",
        from: `      this.#schedule.add(of, start, told.get(keyId(of)) ?? -Infinity);`,
        to:
          `      this.#schedule.add(\n` +
          `        of,\n` +
          `        this.#panes.of(start - spec.assigner.sliding!.offset),\n` +
          `        told.get(keyId(of)) ?? -Infinity,\n` +
          `      );`,
      },
    ],
  },
  {
    name: "a drain does not end event time",
    edits: [
      {
        file: "coordinator/savepoints.ts",
        from: `    const drains = next.drains && { drains: next.drains };`,
        to: `    const drains = {};`,
      },
    ],
  },
  {
    name: "an input that comes back takes event time back",
    edits: [
      {
        file: "task/channel-watermarks.ts",
        from: `    if (time > this.#time) this.#time = time;`,
        to: `    this.#time = time;`,
      },
    ],
  },
  {
    name: "a window is told again beyond its lateness",
    edits: [
      {
        file: "operators/panes.ts",
        from: `      if (end - 1 <= watermark && end - 1 + this.#lateness > watermark) ends.push(end);`,
        to: `      if (end - 1 <= watermark) ends.push(end);`,
      },
    ],
  },
  {
    name: "event time goes on behind the barrier of a stop",
    edits: [
      {
        file: "task/task.ts",
        from: `      if (this.#stopped !== undefined) return false;\n      this.#clean = undefined;`,
        to: `      this.#clean = undefined;`,
      },
    ],
  },
  {
    name: "rows in flight are not in the snapshot",
    edits: [
      {
        file: "operators/async.ts",
        from: `      elements: () => this.#queue.entries().map(kept),`,
        to: `      elements: () => this.#queue.entries().slice(0, 0).map(kept),`,
      },
    ],
  },
  {
    name: "event time passes rows in flight",
    edits: [
      {
        file: "operators/async.ts",
        from: `    this.#queue.addWatermark(watermark);\n    this.release(out);`,
        to: `    out.advance(watermark);\n    this.release(out);`,
      },
    ],
  },
  {
    name: "a row that was not answered in time is lost",
    edits: [
      {
        file: "operators/async-map.ts",
        from: `        settle(entry, "value", value);`,
        to: `        settle(entry, "none", value);`,
      },
    ],
  },
];
