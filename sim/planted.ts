// The mistakes that are planted (mutations.ts) into what one job does by itself.

import type { Mutation } from "./mutation.ts";

export const planted: readonly Mutation[] = [
  {
    name: "no alignment",
    edits: [
      {
        file: "task/alignment.ts",
        from: `    return this.#mode === "EXACTLY_ONCE" && this.#alignment?.arrived.has(channel) === true;`,
        to: `    return channel < 0;`,
      },
    ],
  },
  {
    name: "commit before the manifest",
    edits: [
      {
        file: "coordinator/checkpointing.ts",
        from: `    this.#state.push({ kind: "publish", attempt, candidate, bytes: encoded });`,
        to:
          `    this.#state.push({ kind: "publish", attempt, candidate, bytes: encoded });\n` +
          `    const { all: tasks } = this.#state.tasks;\n` +
          `    this.#state.push({ kind: "notifyComplete", attempt, checkpoint, tasks });`,
      },
    ],
  },
  {
    name: "seq not checked",
    edits: [
      {
        file: "task/inbox.ts",
        from: `    if (frameSeq > input.expected) return { kind: "gap", expected: seq(input.expected) };\n    input.expected++;`,
        to: `    input.expected = frameSeq + 1;`,
      },
    ],
  },
  {
    name: "duplicate push accepted",
    edits: [
      {
        file: "task/inbox.ts",
        from: `    if (frameSeq < input.expected) {`,
        to: `    if (frameSeq < input.expected - 1) {`,
      },
      {
        file: "task/inbox.ts",
        from: `    input.expected++;`,
        to: `    input.expected = frameSeq + 1;`,
      },
    ],
  },
  {
    name: "zombie manifest wins",
    edits: [
      {
        file: "coordinator/checkpointing.ts",
        from: `    if (!isRunning || !checkpoints.isOpen(candidate.id)) {`,
        to: `    if (!checkpoints.isOpen(candidate.id)) {`,
      },
      {
        file: "coordinator/checkpointing.ts",
        from: `      checkpoints.abort(id, reason, now, { counted: false });\n      this.#notifyAborted(id);`,
        to:
          `      if (checkpoints.isPublishing(id)) continue;\n` +
          `      checkpoints.abort(id, reason, now, { counted: false });\n      this.#notifyAborted(id);`,
      },
    ],
  },
  {
    name: "barrier before pending rows",
    edits: [
      {
        file: "task/outbox.ts",
        from: `    this.flush();\n    const mark`,
        to: `    const mark`,
      },
    ],
  },
  {
    name: "offsets of what was read ahead",
    edits: [
      {
        file: "connectors/topic-source.ts",
        from: `    return this.#splits.map(({ partition, next }) => ({ partition, next }));`,
        to: `    return this.#splits.map(({ partition, readFrom }) => ({ partition, next: readFrom }));`,
      },
    ],
  },
  {
    name: "a delta forgets removed keys",
    edits: [
      {
        file: "operators/state/memory.ts",
        from: `      this.#removedBefore.set(id, tombstone);\n      frozen.push(tombstone);`,
        to: `      this.#removedBefore.set(id, tombstone);`,
      },
    ],
  },
  {
    name: "retention by age",
    edits: [
      {
        file: "coordinator/retention.ts",
        from: `    if (reachable.has(path)) return false;`,
        to: `    if (reachable.has(path) && path.endsWith("_metadata")) return false;`,
      },
    ],
  },
  {
    name: "undo of the running epoch skipped",
    edits: [
      {
        file: "operators/table.ts",
        from: `    return undo.has(id) ? undo.get(id) : latest;`,
        to: `    return latest;`,
      },
    ],
  },
  {
    name: "effects before they are durable",
    edits: [
      {
        file: "coordinator/job-state.ts",
        from: `    return [{ kind: "persist", record: this.#record, ...this.checkpoints.takeChanges() }, ...out];`,
        to: `    return [...out, { kind: "persist", record: this.#record, ...this.checkpoints.takeChanges() }];`,
      },
    ],
  },
  {
    name: "deltas build on a lost segment",
    edits: [
      {
        file: "task/task.ts",
        from: `  snapshotLost(): void {\n    this.#state.lost();`,
        to: `  snapshotLost(): void {\n    void this.#state;`,
      },
    ],
  },
  {
    name: "overtaken output not kept",
    edits: [
      {
        file: "task/task.ts",
        from: `for (const { channel, frames } of this.#outbox.overtake()) channels.overtaken(channel, frames);`,
        to: `this.#outbox.overtake();`,
      },
      {
        file: "task/task.ts",
        from: `  #overtakeOutputs({ channels }: OpenSnapshot): void {`,
        to: `  #overtakeOutputs(_: OpenSnapshot): void {`,
      },
    ],
  },
  {
    name: "overtaken input not kept",
    edits: [
      {
        file: "task/task.ts",
        from: `    for (const channel of open) channels.waiting(channel, this.#inbox.ahead(channel, checkpoint));`,
        to: `    for (const channel of open) this.#inbox.ahead(channel, checkpoint);`,
      },
    ],
  },
  {
    name: "rows of a failed attempt kept",
    edits: [
      {
        file: "operators/state/sqlite-rows.ts",
        from: `db.exec("UPDATE state_runs SET live = 0 WHERE since >= ?", checkpoint);`,
        to: `db.exec("UPDATE state_runs SET live = 0 WHERE since > ?", checkpoint);`,
      },
    ],
  },
  {
    name: "broadcast state is not restored",
    edits: [
      {
        file: "operators/state/broadcast-map.ts",
        from: `    for (const [key, value] of restored) this.set(key, value);`,
        to: `    void restored;`,
      },
    ],
  },
  {
    name: "one restart too many",
    edits: [
      {
        file: "coordinator/restart.ts",
        from: `  if (restarts < attempts) return restart(now + delay, history);`,
        to: `  if (restarts <= attempts) return restart(now + delay, history);`,
      },
    ],
  },
  {
    name: "a list goes to everybody",
    edits: [
      {
        file: "task/operator-state.ts",
        from: `    ...split.filter((one) => !isDealt(one) && one.from === task.index),`,
        to: `    ...split.filter((one) => !isDealt(one)),`,
      },
    ],
  },
  {
    name: "a region restarts and sweeps all",
    edits: [
      {
        file: "coordinator/attempts.ts",
        from: `    if (runs.length === 0) this.#checkpointing.sweep(now); // R4`,
        to: `    void runs;\n    this.#checkpointing.sweep(now);`,
      },
    ],
  },
  {
    name: "failed deletions forgotten",
    edits: [
      {
        file: "coordinator/checkpointing.ts",
        from: `    checkpoints.littered(latest.id);`,
        to: `    void latest.id;`,
      },
    ],
  },
  {
    name: "stuck channels not asked about",
    edits: [
      {
        file: "task/stall-watch.ts",
        from: `    if (!this.#isOpen || this.#unsettled.size === 0) return undefined;`,
        to: `    if (this.#patience > 0) return undefined;`,
      },
    ],
  },
  // The shells are played, and what is theirs is planted there.
  {
    name: "dirty mark written late",
    edits: [
      {
        file: "sim/subtask.ts",
        from: `    if (run !== undefined && this.#rests(attempt)) this.#goOn(run);`,
        to: `    if (run !== undefined && this.#rests(attempt)) this.later(100, () => this.#goOn(run));`,
      },
    ],
  },
  {
    name: "rest although something is under way",
    edits: [
      {
        file: "task/task.ts",
        from: `    return this.#isIdle && this.#clean !== undefined && this.#clean.from <= checkpoint;`,
        to: `    return this.#isRunning() && this.#outbox.isSettled && checkpoint > 0;`,
      },
      {
        file: "sim/subtask.ts",
        from: `        this.#appends === appends &&\n        run.activity.cleanSince === cleanSince;`,
        to: `        this.#appends >= appends &&\n        run.activity.cleanSince !== 0;`,
      },
    ],
  },
  {
    name: "subscription dropped before the call is answered",
    edits: [
      {
        file: "topic/subscriptions.ts",
        from: `"SELECT * FROM subscriptions WHERE position < ?"`,
        to: `"DELETE FROM subscriptions WHERE position < ? RETURNING *"`,
      },
    ],
  },
  {
    name: "active not reported",
    edits: [
      {
        file: "coordinator/resting.ts",
        from: `    this.#giveUp();\n    if (!this.isResting) return;`,
        to: `    this.#giveUp();\n    if (now > 0) return;`,
      },
    ],
  },
  {
    name: "dead letters after a rest have ids of others",
    edits: [
      {
        file: "task/dead-letters.ts",
        from: "`attempt-${this.#attempt}-${this.#deadLettered}`",
        to: "`attempt-${this.#attempt}-${this.#written.size}`",
      },
    ],
  },
  {
    name: "a damaged checkpoint is tried again",
    edits: [
      {
        file: "coordinator/attempts.ts",
        from: `      checkpoints.dropLatest();`,
        to: `    void checkpoints;`,
      },
    ],
  },
  {
    name: "bytes that were read are not checked",
    edits: [
      {
        file: "task/snapshot-parts.ts",
        from: `    segment.check();`,
        to: `    void segment;`,
      },
    ],
  },
  {
    name: "image of an older attempt is gone on from",
    edits: [
      {
        file: "sim/subtask.ts",
        from: `    this.#dropImage();\n    this.#store({ attempt, isActive: true }, this.host.time + watchInterval);`,
        to: `    this.#store({ ...known, attempt, isActive: true }, this.host.time + watchInterval);`,
      },
      {
        file: "sim/subtask.ts",
        from: `    this.#dropImage();\n    this.#store({ attempt, isActive: false }, undefined);`,
        to: `    this.#store({ ...this.#stored, attempt, isActive: false }, undefined);`,
      },
      {
        file: "sim/subtask.ts",
        from: `run.task.deployment.attempt === attempt`,
        to: `run.task.deployment.attempt <= attempt`,
      },
    ],
  },
  {
    name: "codes of the frame before",
    edits: [
      {
        file: "format/gather.ts",
        from: `  base = end;`,
        to: `  base += codesMax;`,
      },
    ],
  },
  {
    name: "numbers change unnoticed",
    edits: [
      {
        file: "operators/state/memory.ts",
        from: `        const entry = this.#changing(slot as Entry<V>);`,
        to: `        const entry = slot.isFree ? this.#changing(slot as Entry<V>) : (slot as Entry<V>);`,
      },
    ],
  },
];
