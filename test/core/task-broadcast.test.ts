// Operators with two inputs, broadcast state and operator state in the core of a subtask: what each
// subtask's snapshot holds, and what becomes of it at another parallelism. Tasks are driven by hand.

import { describe, expect, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { decodeRows, encodeRows } from "../../format/batch.ts";
import { decodeFrames } from "../../format/channel-state.ts";
import type { CheckpointConfig } from "../../format/config.ts";
import { atOnce, decodeFrame, encodeBarrier, encodeData, never } from "../../format/frame.ts";
import { attempt, checkpointId, jobIdFrom, millis, type Seq, seq } from "../../format/ids.ts";
import { keyGroupOf, ownerOfGroup } from "../../format/key-groups.ts";
import type { CheckpointAck, TaskDeployment, TaskFailure } from "../../format/messages.ts";
import { decodeElements } from "../../format/operator-state.ts";
import { edgeOf, vertexOf } from "../../format/plan.ts";
import type { BytesHandle, TaskStateHandle } from "../../format/state-handle.ts";
import type { StateConfig } from "../../format/config.ts";
import { channelsOf, restoredChannel } from "../../task/former-rows.ts";
import { sharesOf } from "../../task/operator-state.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";
import { testDatabase } from "./state-backends.ts";
import {
  defineJob,
  listState,
  mapState,
  rows,
  table,
  topic,
  unionListState,
  valueState,
  type JobDefinition,
} from "tidemark";

interface Row {
  readonly key: string;
  readonly n: number;
}
interface Rule {
  readonly name: string;
  /** None: the rule goes. */
  readonly factor: number | null;
}

const options = { bufferTimeout: 0, checkpointing: { interval: 100, inlineThreshold: 4_000 } };

const keyed = defineJob(
  "keyed",
  (env) => {
    const rules = env.from(topic<Rule>("rules"), { uid: "rules" });
    env
      .from(topic<Row>("rows"), { uid: "rows" })
      .keyBy((row) => row.key)
      .connect(rules.broadcast({ factors: mapState<string, number>() }))
      .process(
        {
          state: { total: valueState({ default: 0 }) },
          emits: rows<Row>(),
          process({ key, n }, ctx) {
            if (n < 0) (ctx.broadcast.factors as unknown as Map<string, number>).set("x", n);
            const total = ctx.state.total.get() + n * (ctx.broadcast.factors.get("all") ?? 1);
            ctx.state.total.set(total);
            ctx.emit({ key, n: total });
          },
          processBroadcast({ name, factor }, { broadcast: { factors } }) {
            if (factor === null) factors.delete(name);
            else factors.set(name, factor);
          },
        },
        { uid: "both" },
      )
      .to(table("totals"), { uid: "out" });
  },
  options,
);

const unkeyed = defineJob(
  "unkeyed",
  (env) => {
    const rules = env.from(topic<Rule>("rules"), { uid: "rules" });
    env
      .from(topic<Row>("rows"), { uid: "rows" })
      .connect(rules.broadcast({ factors: mapState<string, number>() }))
      .process(
        {
          operatorState: { held: listState<number>(), seen: unionListState<number>() },
          emits: rows<Row>(),
          process({ key, n }, { operatorState: { held, seen }, broadcast: { factors }, emit }) {
            held.add(n * (factors.get("all") ?? 1));
            seen.update([...new Set([...seen.get(), n])]);
            if (key === "flush") {
              for (const one of held.get()) emit({ key, n: one });
              held.clear();
            }
          },
          processBroadcast({ name, factor }, ctx) {
            ctx.broadcast.factors.set(name, factor!);
            ctx.emit({ key: name, n: factor! });
          },
        },
        { uid: "both" },
      )
      .to(table("all", { key: (row) => row.n }), { uid: "out" });
  },
  options,
);

const bytesOf = (handle: BytesHandle): Uint8Array => {
  if (handle.kind === "file") throw new Error("not inline");
  return handle.bytes;
};

function deploymentOf(
  { graph }: JobDefinition,
  parallelism: number,
  index: number,
  states?: readonly TaskStateHandle[],
  given: { checkpointing?: Partial<CheckpointConfig>; state?: Partial<StateConfig> } = {},
): TaskDeployment {
  const config = {
    ...graph.config,
    parallelism,
    checkpointing: { ...graph.config.checkpointing, ...given.checkpointing },
    state: { ...graph.config.state, ...given.state },
  };
  const plan = planOf(graph, config);
  const vertex = plan.vertices.find(({ operators }) => operators.includes("both"))!;
  return {
    job: jobIdFrom(new Uint8Array(16)),
    attempt: attempt(1),
    task: { vertex: vertex.id, index },
    plan,
    config,
    ...(states && { restore: { checkpoint: checkpointId(1), states } }),
  };
}

/** One subtask of "both", with its channels. Time goes on with every event. */
class Subtask {
  readonly task: Task;
  readonly effects: TaskEffect[] = [];
  readonly #next: number[];
  #now = 0;

  constructor(program: JobDefinition, deployment: TaskDeployment) {
    const restored = deployment.restore && {
      checkpoint: deployment.restore.checkpoint,
      keyed: deployment.restore.states
        .flatMap((state) => state.keyed)
        .map((handle) => ({ handle, segments: handle.segments.map(bytesOf) })),
      operator: sharesOf(deployment).map((share) => ({
        ...share,
        bytes: bytesOf(share.handle.bytes),
      })),
      channels: channelsOf(deployment).map((handle) =>
        restoredChannel(deployment, program.graph, handle, decodeFrames(bytesOf(handle.frames))),
      ),
    };
    this.task = new Task(deployment, program.graph, restored, millis(0), testDatabase());
    this.#next = this.task.inputs.map(() => 0);
    this.#did(this.task.start(millis(0)));
    this.task.outputs.forEach((_, at) => this.#did(this.task.reopened(at, seq(0), millis(0))));
  }

  /** Sends a frame by the first channel of that input, or by all of them. */
  send(input: 0 | 1 | "all", frame: Uint8Array): this {
    const { plan } = this.task.deployment;
    const channels = this.task.inputs.flatMap(({ edge }, at) =>
      input === "all" || edgeOf(plan, edge).input === input ? [at] : [],
    );
    for (const channel of input === "all" ? channels : channels.slice(0, 1)) {
      const at = seq(this.#next[channel]!++);
      this.#did(this.task.receive(channel, at, frame, millis(this.#now)).effects);
    }
    return this;
  }

  rows(...numbers: readonly (readonly [key: string, n: number])[]): this {
    return this.send(0, encodeData(encodeRows(numbers.map(([key, n]) => ({ key, n })))));
  }

  rules(...given: readonly (readonly [name: string, factor: number | null])[]): this {
    return this.send(1, encodeData(encodeRows(given.map(([name, factor]) => ({ name, factor })))));
  }

  /** What the next aligned checkpoint holds of it. */
  snapshot(id = 2): TaskStateHandle {
    this.send("all", encodeBarrier(checkpointId(id), never));
    return this.acks.at(-1)!.state;
  }

  /** Lets time pass, and nothing else. */
  later(span: number): this {
    this.#now += span;
    return this;
  }

  /** Lets time pass until nothing is due. */
  drain(): this {
    for (let turns = 0; turns < 100 && this.task.wakeAt !== undefined; turns++) {
      this.#now = Math.max(this.#now + 1, this.task.wakeAt);
      this.#did(this.task.tick(millis(this.#now)));
    }
    return this;
  }

  get acks(): CheckpointAck[] {
    return this.effects.flatMap((effect) => (effect.kind === "snapshot" ? [effect.ack] : []));
  }

  get failures(): TaskFailure[] {
    return this.effects.flatMap((effect) => (effect.kind === "fail" ? [effect.failure] : []));
  }

  /** Rows it emitted, in the order of frames. */
  get emitted(): Row[] {
    return this.effects.flatMap((effect) => {
      if (effect.kind !== "push") return [];
      const frame = decodeFrame(effect.frame);
      return frame.kind === "data" ? (decodeRows(frame.rows) as Row[]) : [];
    });
  }

  #did(effects: readonly TaskEffect[]): void {
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind !== "push") continue;
      const { channel, seq: at }: { channel: number; seq: Seq } = effect;
      this.#did(this.task.settled(channel, at, millis(this.#now)));
    }
  }
}

const subtasks = (
  program: JobDefinition,
  parallelism: number,
  states?: readonly TaskStateHandle[],
): Subtask[] =>
  Array.from(
    { length: parallelism },
    (_, index) => new Subtask(program, deploymentOf(program, parallelism, index, states)),
  );

/** The states of a snapshot that no key owns, as `state: elements`. */
const heldIn = (state: TaskStateHandle): Record<string, unknown[]> =>
  Object.fromEntries(
    state.operator.map((handle) => [handle.state, decodeElements(bytesOf(handle.bytes))]),
  );

describe("an operator with two inputs", () => {
  test("is the first of its chain, whatever feeds it, and its edges say which input they feed", () => {
    const { vertices, edges } = planOf(unkeyed.graph);
    expect(vertices.map(({ operators }) => operators)).toEqual([
      ["rules"],
      ["rows"],
      ["both"],
      ["out"],
    ]);
    expect(
      edges.map(({ fromUid, toUid, input, partitioning }) => [
        `${fromUid}>${toUid}`,
        input,
        partitioning,
      ]),
    ).toEqual([
      ["rows>both", 0, "forward"],
      ["rules>both", 1, "broadcast"],
      ["both>out", 0, "hash"],
    ]);
  });

  test("is given the rows of each channel by the input it feeds", () => {
    const both = new Subtask(unkeyed, deploymentOf(unkeyed, 1, 0));
    both.rules(["all", 10]).rows(["a", 1], ["flush", 2]);
    expect(both.emitted).toEqual([
      { key: "all", n: 10 },
      { key: "flush", n: 10 },
      { key: "flush", n: 20 },
    ]);
  });

  test("makes another program of one whose inputs are the other way round", () => {
    const of = (swap: boolean): string => {
      const { graph } = defineJob("swapped", (env) => {
        const [a, b] = [topic<Rule>("a"), topic<Rule>("b")].map((one) =>
          env.from(one, { uid: one.name }),
        ) as [never, never];
        const [left, right] = (swap ? [b, a] : [a, b]) as unknown as ReturnType<
          typeof env.from<Rule>
        >[];
        left!
          .rebalance()
          .connect(right!.rebalance().broadcast({ rules: mapState<string, Rule>() }))
          .process(
            { emits: rows<Row>(), process: () => {}, processBroadcast: () => {} },
            { uid: "both" },
          )
          .to(table("t"), { uid: "out" });
      });
      return planOf(graph).fingerprint;
    };
    expect(of(false)).not.toBe(of(true));
  });
});

describe("broadcast state", () => {
  test("may not be changed for a row that only one subtask sees", () => {
    const both = new Subtask(keyed, deploymentOf(keyed, 1, 0)).rows(["a", -1]);
    expect(both.failures).toMatchObject([
      {
        name: "UserCodeError",
        message: expect.stringMatching(
          /^Operator "both" \(process\) failed on row 0 .*Broadcast state "factors" of operator "both" was to be changed by process/,
        ) as string,
      },
    ]);
  });

  test("is in the snapshot of every subtask, and nothing of it once it is empty", () => {
    const both = subtasks(keyed, 2);
    for (const one of both) one.rules(["all", 2], ["gone", 1], ["gone", null]);
    for (const one of both) expect(heldIn(one.snapshot())).toEqual({ factors: [["all", 2]] });
    for (const one of both) expect(one.rules(["all", null]).snapshot(3).operator).toEqual([]);
  });

  // RescalingITCase, StateAssignmentOperationTest
  test.each([
    [2, 2],
    [2, 3],
    [3, 1],
    [1, 4],
  ])("is whole in every subtask after a restore at parallelism %i to %i", (before, after) => {
    const old = subtasks(keyed, before);
    // Each row only to the subtask that owns its key, each rule to all.
    const ownerOf = (key: string, parallelism: number): number =>
      ownerOfGroup(keyGroupOf(key, 128), parallelism, 128);
    const keys = ["a", "b", "c", "d", "e", "f"];
    for (const one of old) one.rules(["all", 10], ["other", 3]);
    for (const key of keys) old[ownerOf(key, before)]!.rows([key, 1]);
    const states = old.map((one) => one.snapshot());
    const now = subtasks(keyed, after, states);
    for (const key of keys) {
      const owner = now[ownerOf(key, after)]!.rows([key, 2]);
      expect(owner.emitted.at(-1)).toEqual({ key, n: 30 });
    }
    for (const one of now) {
      expect(heldIn(one.snapshot())).toEqual({
        factors: [
          ["all", 10],
          ["other", 3],
        ],
      });
    }
  });

  // UnalignedCheckpointRescaleITCase, KEYED_BROADCAST
  test("where barriers overtake rules, each copy is restored with the rules that it lacks", () => {
    const checkpointing = { unaligned: true };
    const old = [0, 1].map(
      (index) => new Subtask(keyed, deploymentOf(keyed, 2, index, undefined, { checkpointing })),
    );
    const key = { 0: "", 1: "" };
    for (let n = 0; key[0] === "" || key[1] === ""; n++) {
      key[ownerOfGroup(keyGroupOf(`k${n}`, 128), 2, 128) as 0 | 1] = `k${n}`;
    }
    // The first takes the rule before the barrier comes, to the second it is still on its way.
    old[0]!.rules(["all", 10]).drain();
    old[1]!.rows([key[1], 0]).later(20).rules(["all", 10]);
    for (const one of old) one.send("all", encodeBarrier(checkpointId(2), atOnce));
    const states = old.map((one) => one.acks[0]!.state);
    expect(states.map((state) => heldIn(state))).toEqual([{ factors: [["all", 10]] }, {}]);
    expect(states.map((state) => (state.channels ?? []).length)).toEqual([0, 1]);
    const now = [0, 1].map(
      (index) => new Subtask(keyed, deploymentOf(keyed, 2, index, states, { checkpointing })),
    );
    now.forEach((one, index) => {
      one
        .drain()
        .rows([key[index as 0 | 1], 1])
        .drain();
      expect(one.emitted.at(-1)).toEqual({ key: key[index as 0 | 1], n: 10 });
    });
  });

  test.each(["memory", "sqlite"] as const)("counts against the budget of %s", (backend) => {
    const state = { backend, memoryBudget: 10_000 };
    const both = new Subtask(keyed, deploymentOf(keyed, 1, 0, undefined, { state }));
    both.rules(...Array.from({ length: 200 }, (_, n) => [`rule ${n}`, n] as const));
    expect(both.failures).toMatchObject([
      { message: expect.stringContaining('State "factors" of operator "both" holds') as string },
    ]);
  });
});

describe("operator state", () => {
  // ListCheckpointed, getListState, getUnionListState
  test("is dealt out in order, or given to all, when the parallelism changes", () => {
    const old = subtasks(unkeyed, 2);
    old[0]!.rows(["a", 1], ["a", 2], ["a", 3]);
    old[1]!.rows(["a", 4]);
    const states = old.map((one) => one.snapshot());
    expect(states.map(heldIn)).toEqual([
      { held: [1, 2, 3], seen: [1, 2, 3] },
      { held: [4], seen: [4] },
    ]);
    const now = subtasks(unkeyed, 3, states).map((one) => heldIn(one.snapshot()));
    expect(now).toEqual([
      { held: [1, 2], seen: [1, 2, 3, 4] },
      { held: [3], seen: [1, 2, 3, 4] },
      { held: [4], seen: [1, 2, 3, 4] },
    ]);
    const same = subtasks(unkeyed, 2, states).map((one) => heldIn(one.snapshot()));
    expect(same.map(({ held }) => held)).toEqual([[1, 2, 3], [4]]);
  });

  test("is as it was at the barrier; what was emitted of it does not change", () => {
    const both = new Subtask(unkeyed, deploymentOf(unkeyed, 1, 0));
    const before = both.rows(["a", 1]).snapshot(2);
    const after = both.rows(["a", 2], ["flush", 3]).snapshot(3);
    expect(heldIn(before)).toEqual({ held: [1], seen: [1] });
    expect(heldIn(after)).toEqual({ seen: [1, 2, 3] });
    expect(both.emitted.map(({ n }) => n)).toEqual([1, 2, 3]);
  });

  test("goes into the snapshot's file where it is large, and is counted", () => {
    const checkpointing = { inlineThreshold: 100 };
    const deployment = deploymentOf(unkeyed, 1, 0, undefined, { checkpointing });
    const both = new Subtask(unkeyed, deployment);
    both.rows(...Array.from({ length: 100 }, (_, n) => ["a", n * 1.5] as const));
    const { operator } = both.snapshot();
    const [effect] = both.effects.filter(({ kind }) => kind === "snapshot");
    if (effect?.kind !== "snapshot") throw new Error("no snapshot");
    const { file, ack } = effect;
    const stored = operator.map(({ bytes }) => {
      if (bytes.kind !== "file") throw new Error("inline");
      expect(bytes.path).toBe(file!.path);
      return decodeElements(file!.bytes.subarray(bytes.offset, bytes.offset + bytes.length));
    });
    expect(stored.map((elements) => elements.length)).toEqual([100, 100]);
    expect(ack.metrics.bytes).toBe(file!.bytes.length);
    expect(ack.metrics.stateBytes).toBe(file!.bytes.length);
    expect(vertexOf(deployment.plan, deployment.task.vertex).operators).toEqual(["both"]);
  });
});
