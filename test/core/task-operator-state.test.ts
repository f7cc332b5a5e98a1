// State that no key owns: what a snapshot holds of it, and who takes over what.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { FormatError } from "../../format/format-error.ts";
import { attempt, checkpointId, jobIdFrom } from "../../format/ids.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import type { Redistribution, TaskStateHandle } from "../../format/state-handle.ts";
import { plainElements } from "../../operators/state/operator-state.ts";
import { schemaOf, type StateSchema } from "../../operators/state/schema.ts";
import { type FrozenOperatorState, OperatorStates, sharesOf } from "../../task/operator-state.ts";
import { place } from "../../task/snapshot-file.ts";
import { defineJob, StateError, table, topic, UserCodeError } from "tidemark";
import { planOf } from "../../coordinator/plan.ts";

const { graph } = defineJob("plain", (env) => {
  env.from(topic<{ key: string }>("rows"), { uid: "rows" }).to(table("out"), { uid: "out" });
});

const list = (elements: readonly unknown[], redistribution: Redistribution = "split") => ({
  redistribution,
  schema: plainElements,
  elements: () => elements,
  bytes: () => 0,
});

const stored = (frozen: readonly FrozenOperatorState[]): TaskStateHandle => ({
  keyed: [],
  operator: frozen.map(({ handle, bytes }) => ({ ...handle, bytes: { kind: "inline", bytes } })),
});

function deploymentOf(
  states: readonly TaskStateHandle[],
  index: number,
  parallelism: number,
): TaskDeployment {
  const config = { ...graph.config, parallelism };
  const plan = planOf(graph, config);
  return {
    job: jobIdFrom(new Uint8Array(16)),
    attempt: attempt(1),
    task: { vertex: plan.vertices[0]!.id, index },
    plan,
    config,
    restore: { checkpoint: checkpointId(1), states },
  };
}

function restoredAt(
  states: readonly TaskStateHandle[],
  index: number,
  parallelism: number,
): OperatorStates {
  const shares = sharesOf(deploymentOf(states, index, parallelism)).map((share) => ({
    ...share,
    bytes: (share.handle.bytes as { readonly bytes: Uint8Array }).bytes,
  }));
  return new OperatorStates(shares, index);
}

/** What each of `parallelism` subtasks takes over of what each of some others held. */
function taken(
  held: readonly (readonly unknown[])[],
  redistribution: Redistribution,
  parallelism: number,
): (readonly unknown[])[] {
  const states = held.map((elements) => {
    const old = new OperatorStates([]);
    old.store("op").register("state", list(elements, redistribution));
    return stored(old.freeze());
  });
  return Array.from({ length: parallelism }, (_, index) =>
    restoredAt(states, index, parallelism).store("op").register("state", list([], redistribution)),
  );
}

// The rows of Flink's StateAssignmentOperationTest and RescalingITCase that are about such state.
describe("StateAssignmentOperationTest", () => {
  const three = [["a", "b"], ["c"], ["d", "e", "f"]];

  test("split, parallelism as it was: each takes its own", () => {
    expect(taken(three, "split", 3)).toEqual(three);
  });

  test("split, 3 to 2, to 1, and to 7: equal runs, in order", () => {
    expect(taken(three, "split", 2)).toEqual([
      ["a", "b", "c"],
      ["d", "e", "f"],
    ]);
    expect(taken(three, "split", 1)).toEqual([["a", "b", "c", "d", "e", "f"]]);
    expect(taken(three, "split", 7)).toEqual([["a"], ["b"], ["c"], ["d"], ["e"], ["f"], []]);
  });

  test("split, any mapping: every element once, in order, and none has two more than another", () => {
    const lists = fc.array(fc.array(fc.integer(), { maxLength: 9 }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 8 }), (held, parallelism) => {
        const now = taken(held, "split", parallelism);
        expect(now.flat()).toEqual(held.flat());
        if (held.length === parallelism) return;
        const sizes = now.map((elements) => elements.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test.each([1, 2, 3, 5])("union, 3 to %i: everybody takes all", (parallelism) => {
    const all = three.flat();
    expect(taken(three, "union", parallelism)).toEqual(Array(parallelism).fill(all));
  });

  test("broadcast: the copy of the same index, else of the index modulo how many there were", () => {
    // Copies are equal in a job that keeps the rules; here they are not, to tell who takes which.
    expect(taken([["x"], ["y"]], "broadcast", 3)).toEqual([["x"], ["y"], ["x"]]);
    expect(taken([["x"], ["y"], ["z"]], "broadcast", 1)).toEqual([["x"]]);
    expect(taken([[], ["y"]], "broadcast", 4)).toEqual([[], ["y"], [], ["y"]]);
  });

  test("several states of several operators do not meet", () => {
    const old = new OperatorStates([]);
    old.store("a").register("one", list([1]));
    old.store("a").register("two", list([2], "union"));
    old.store("b").register("one", list([3], "broadcast"));
    const states = [stored(old.freeze()), stored([])];
    const now = restoredAt(states, 1, 3);
    expect(now.store("a").register("one", list([]))).toEqual([]);
    expect(now.store("a").register("two", list([], "union"))).toEqual([2]);
    expect(now.store("b").register("one", list([], "broadcast"))).toEqual([]);
    const first = restoredAt(states, 0, 3);
    expect(first.store("a").register("one", list([]))).toEqual([1]);
    expect(first.store("b").register("one", list([], "broadcast"))).toEqual([3]);
  });

  test("what no operator registers any more is carried on", () => {
    const old = new OperatorStates([]);
    old.store("gone").register("state", list([{ n: 1 }, { n: 2 }]));
    const before = stored(old.freeze());
    const now = restoredAt([before], 0, 1);
    now.restored();
    expect(stored(now.freeze())).toEqual(before);
    expect(now.bytes).toBeGreaterThan(0);
  });
});

test("a union that nobody registers any more is carried on once, and does not grow", () => {
  const old = new OperatorStates([]);
  old.store("gone").register("state", list(["a", "b"], "union"));
  let states = [stored(old.freeze()), stored([])];
  for (const parallelism of [2, 3, 2]) {
    states = Array.from({ length: parallelism }, (_, index) => {
      const now = restoredAt(states, index, parallelism);
      now.restored();
      return stored(now.freeze());
    });
  }
  expect(restoredAt(states, 1, 2).store("gone").register("state", list([], "union"))).toEqual([
    "a",
    "b",
  ]);
});

describe("a snapshot", () => {
  test("holds the elements as they were at the barrier", () => {
    const held = ["a"];
    const states = new OperatorStates([]);
    states.store("op").register("state", list(held));
    const frozen = stored(states.freeze());
    held.push("b");
    expect(restoredAt([frozen], 0, 1).store("op").register("state", list([]))).toEqual(["a"]);
  });

  test("has no trace of a state without elements", () => {
    const states = new OperatorStates([]);
    states.store("op").register("state", list([]));
    expect(states.freeze()).toEqual([]);
  });

  test("of a value that cannot be stored names operator and state", () => {
    const states = new OperatorStates([]);
    states.store("op").register("state", list([() => 1]));
    expect(() => states.freeze()).toThrow(UserCodeError);
    expect(() => states.freeze()).toThrow(/"op" \(state "state"\)/);
  });

  test("with a changed byte is found", () => {
    const old = new OperatorStates([]);
    old.store("op").register("state", list(["a", "b"]));
    const frozen = old.freeze();
    frozen[0]!.bytes[40]! ^= 1;
    const now = restoredAt([stored(frozen)], 0, 1);
    expect(() => now.store("op").register("state", list([]))).toThrow(FormatError);
  });
});

describe("a state that is declared anew", () => {
  const old = new OperatorStates([]);
  old.store("op").register("state", list([1, 2]));
  const states = [stored(old.freeze())];
  const register = (schema: StateSchema<unknown>, redistribution: Redistribution = "split") =>
    restoredAt(states, 0, 1)
      .store("op")
      .register("state", { ...list([], redistribution), schema });

  test("in a later version is migrated, element by element", () => {
    const schema: StateSchema<unknown> = {
      stored: { holds: "list", version: 2, ttl: false },
      migrates: true,
      upgrade: (value, from) => [value, from.version],
    };
    expect(register(schema)).toEqual([
      [1, 1],
      [2, 1],
    ]);
  });

  test("as another kind, in a version without a way, or with another redistribution is refused", () => {
    const of = (holds: "list" | "map", version: number): StateSchema<unknown> =>
      schemaOf({ holds, version, ttl: false });
    expect(() => register(of("map", 1))).toThrow(StateError);
    expect(() => register(of("list", 2))).toThrow(/Give its descriptor migrate/);
    expect(() => register(of("list", 1), "union")).toThrow(/stored as split state/);
  });
});

test("beyond the budget the largest state is named", () => {
  const states = new OperatorStates([]);
  states.store("a").register("small", { ...list([1]), bytes: () => 10 });
  states.store("b").register("large", { ...list([1]), bytes: () => 100 });
  expect(() => states.check(110)).not.toThrow();
  expect(() => states.check(109)).toThrow(/State "large" of operator "b"/);
});

describe("the parts of a snapshot", () => {
  const parts = [new Uint8Array([1, 2]), new Uint8Array([3])];

  test("are inline where that is enough", () => {
    const { handles, file } = place(parts, { isInline: true, file: undefined, path: "new" });
    expect(handles).toEqual(parts.map((bytes) => ({ kind: "inline", bytes })));
    expect(file).toBeUndefined();
  });

  test("else behind one another in the snapshot's file", () => {
    const before = { path: "state", bytes: new Uint8Array([9]) };
    expect(place(parts, { isInline: false, file: before, path: "new" })).toEqual({
      handles: [
        { kind: "file", path: "state", offset: 1, length: 2 },
        { kind: "file", path: "state", offset: 3, length: 1 },
      ],
      file: { path: "state", bytes: new Uint8Array([9, 1, 2, 3]) },
    });
    const { file } = place(parts, { isInline: false, file: undefined, path: "new" });
    expect(file).toEqual({ path: "new", bytes: new Uint8Array([1, 2, 3]) });
  });
});
