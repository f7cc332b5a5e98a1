// The mistakes that are planted (mutations.ts) into savepoints, and into jobs that go on from them.

import type { Mutation } from "./mutation.ts";

export const plantedMoves: readonly Mutation[] = [
  {
    name: "a savepoint refers to files of checkpoints",
    edits: [
      {
        file: "task/task-state.ts",
        from: `          : this.#keyed.freezeWhole(checkpoint, path),`,
        to: `          : this.#keyed.freeze(checkpoint, { isFull: path === "" }),`,
      },
    ],
  },
  {
    name: "a checkpoint builds on a savepoint",
    edits: [
      {
        file: "task/state-snapshots.ts",
        from: `    this.#chains.clear();\n    const keyed: Omit<KeyedStateHandle, "segments">[] = [];`,
        to: `    const keyed: Omit<KeyedStateHandle, "segments">[] = [];`,
      },
    ],
  },
  {
    name: "a checkpoint builds on what its job began with",
    edits: [
      {
        file: "task/state-snapshots.ts",
        from: `|| isBorrowed) continue;`,
        to: `|| (isBorrowed && others.length > 9)) continue;`,
      },
    ],
  },
  {
    name: "what comes behind the barrier of a stop is committed",
    edits: [
      {
        file: "task/task.ts",
        from: `    return this.#stopped !== undefined || this.#twoPhase.isFull;`,
        to: `    return this.#twoPhase.isFull;`,
      },
      {
        file: "task/task.ts",
        from: `        this.#stopped = { checkpoint, isComplete: true };\n      }`,
        to:
          `        this.#stopped = { checkpoint, isComplete: true };\n` +
          `        this.#twoPhase.prepare(checkpoint, this.#chain.filing);\n` +
          `        this.#commit(checkpoint);\n      }`,
      },
    ],
  },
  {
    name: "a stop that failed holds its sources",
    edits: [
      {
        file: "task/task.ts",
        from: `      if (this.#stopped?.checkpoint === checkpoint) this.#stopped = undefined;`,
        to: ``,
      },
    ],
  },
  {
    name: "a stopped job ends before it has committed",
    edits: [
      {
        file: "coordinator/savepoints.ts",
        from: `      return stopped?.checkpoint === stopping.savepoint.id && stopped.isCommitted;`,
        to: `      return stopped?.checkpoint === stopping.savepoint.id;`,
      },
    ],
  },
  {
    name: "a stopping job restarts from an older checkpoint",
    edits: [
      {
        file: "coordinator/attempts.ts",
        from: `    const own = stopping?.savepoint ?? this.#state.checkpoints.latest;`,
        to: `    const own = this.#state.checkpoints.latest ?? stopping?.savepoint;`,
      },
    ],
  },
  {
    name: "a savepoint commits",
    edits: [
      {
        file: "coordinator/savepoints.ts",
        from: `    if (ends === undefined) return; // P4`,
        to:
          `    if (ends === undefined) {\n` +
          `      this.#state.tell(this.#state.tasks.all, (of, tasks) => {\n` +
          `        return { kind: "notifyComplete", attempt: of, checkpoint: id, tasks };\n` +
          `      });\n` +
          `      return;\n` +
          `    }`,
      },
    ],
  },
  {
    name: "the folder of a failed savepoint stays",
    edits: [
      {
        file: "coordinator/savepoints.ts",
        from: `        this.#update({ leftovers: [...this.#leftovers, { folder, since: now }] });`,
        to: `        void folder;`,
      },
    ],
  },
  {
    name: "the folder of a failed savepoint is deleted once",
    edits: [
      {
        file: "coordinator/savepoints.ts",
        from: ` || asked < left.since + deleteAgain) return;`,
        to: `) return;`,
      },
    ],
  },
  {
    name: "a request that is repeated is another",
    edits: [
      {
        file: "coordinator/savepoints.ts",
        from: `    if (known !== undefined) {`,
        to: `    if (known !== undefined && isOpen(known)) {`,
      },
    ],
  },
  {
    name: "splits are dealt to two",
    edits: [
      {
        file: "task/operator-state.ts",
        from: `      const end = Math.min(count, to! - before);`,
        to: `      const end = Math.min(count, to! - before + 1);`,
      },
    ],
  },
  {
    name: "a range of one key group is taken over by nobody",
    edits: [
      {
        file: "format/key-groups.ts",
        from: `  return first <= last ? { first, last } : undefined;`,
        to: `  return first < last ? { first, last } : undefined;`,
      },
    ],
  },
  {
    name: "keys are taken over with their file, not with their group",
    edits: [
      {
        file: "operators/state/memory.ts",
        from: `this.restore(segment.entries(range), segment.header);`,
        to: `this.restore(segment.entries(), segment.header);`,
      },
    ],
  },
  {
    name: "letters of what was the head of a chain are carried on",
    edits: [
      {
        file: "task/commits.ts",
        from: `    this.#open = [...own, ...taken];`,
        to: `    this.#open = [...own];\n    void taken;`,
      },
    ],
  },
  {
    name: "rows on their way go to two",
    edits: [
      {
        file: "task/former-rows.ts",
        from: `    return isForeign && restore?.isOtherCode !== true ? isHeir : rangeHas(own, group);`,
        to: `    return isForeign && restore?.isOtherCode !== true ? isHeir : own.last > -1;`,
      },
    ],
  },
  {
    name: "rows on their way go to nobody where there is no key",
    edits: [
      {
        file: "task/former-rows.ts",
        from: `  if (selector === undefined) return isHeir ? undefined : () => false;`,
        to: `  if (selector === undefined) return () => false;`,
      },
    ],
  },
  {
    name: "a size that does not start is kept",
    edits: [
      {
        file: "coordinator/rescales.ts",
        from: `  return { next: former, ...enters(record, { kind: "failed", message, at: now }) };`,
        to: `  void former;\n  return enters(record, { kind: "failed", message, at: now });`,
      },
    ],
  },
  {
    name: "a job that goes back to its size goes back further",
    edits: [
      {
        file: "coordinator/attempts.ts",
        from: `    const own = stopping?.savepoint ?? this.#state.checkpoints.latest;`,
        to:
          `    const { rescales = [] } = this.#state.record;\n` +
          `    const { retained } = this.#state.checkpoints.ledger;\n` +
          `    const isBack = rescales[0]?.progress.kind === "failed";\n` +
          `    const latest = (isBack ? retained[1] : undefined) ?? retained[0];\n` +
          `    const own = stopping?.savepoint ?? latest;`,
      },
    ],
  },
  {
    name: "a hold is let go before there is a checkpoint",
    edits: [
      {
        file: "coordinator/restore-point.ts",
        from: `    return !isTerminal(phase) && !isReplaced;`,
        to: `    return phase === "INITIALIZING" && !isTerminal(phase) && !isReplaced;`,
      },
    ],
  },
  {
    name: "a hold is never let go",
    edits: [
      {
        file: "coordinator/restore-point.ts",
        from: `    return !isTerminal(phase) && !isReplaced;`,
        to: `    return phase !== undefined && isReplaced !== undefined;`,
      },
    ],
  },
  {
    name: "a hold for a job that never came stays",
    edits: [
      {
        file: "coordinator/holds.ts",
        from: `    if (isNeeded) this.#confirm(hold);`,
        to: `    if (isNeeded || now > 0) this.#confirm(hold);`,
      },
    ],
  },
  {
    name: "what is held is swept",
    edits: [
      {
        file: "coordinator/checkpointing.ts",
        from: `    return [...new Set([...retained, ...held].flatMap((entry) => entry.files))];`,
        to: `    void held;\n    return [...new Set(retained.flatMap((entry) => entry.files))];`,
      },
    ],
  },
];
