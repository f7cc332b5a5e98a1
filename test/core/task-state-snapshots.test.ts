import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CheckpointConfig } from "../../format/config.ts";
import { attempt, type CheckpointId, checkpointId, jobIdFrom } from "../../format/ids.ts";
import { rangeOfSubtask } from "../../format/key-groups.ts";
import { deltaChainMax, snapshotCut } from "../../format/limits.ts";
import { readSegment } from "../../format/segment.ts";
import type { KeyedStateHandle } from "../../format/state-handle.ts";
import { MemoryStateBackend, MemoryStateStore } from "../../operators/state/memory.ts";
import { type RestoredKeyedState, StateSnapshots } from "../../task/state-snapshots.ts";
import { handedOver, type HandedOver } from "./frozen-state.ts";

const range = rangeOfSubtask(0, 1, 128);

/** A subtask's snapshots with a bucket beside them, and what a restore of the last one gives. */
function subtask(
  inlineThreshold: number,
  incremental = true,
  storage: CheckpointConfig["storage"] = "r2",
  from?: { readonly states: readonly RestoredKeyedState[]; readonly checkpoint: number },
  subtasks = 4,
) {
  const backend = new MemoryStateBackend({ maxParallelism: 128, budget: Infinity });
  const snapshots = new StateSnapshots({
    job: jobIdFrom(new Uint8Array(16)),
    attempt: attempt(1),
    task: { vertex: "v", index: 0 },
    range,
    maxParallelism: 128,
    inlineThreshold,
    subtasks,
    incremental,
    storage,
    backend,
    cut: snapshotCut,
  });
  if (from !== undefined) snapshots.restore(from.states);
  const table = backend.store("sum").table<number>("accumulators");
  snapshots.restored();
  const files = new Map<string, Uint8Array>();
  let checkpoint = from?.checkpoint ?? 0;
  let last: HandedOver | undefined;

  const freeze = ({ isLost = false, isFull = false } = {}): HandedOver => {
    last = handedOver(snapshots.freeze(next(), { isFull }));
    if (last.file !== undefined && !isLost) files.set(last.file.path, last.file.bytes);
    if (isLost) snapshots.lost();
    return last;
  };
  const freezeWhole = (): HandedOver => {
    last = handedOver(snapshots.freezeWhole(next(), "savepoints/s/v-0"));
    if (last.file !== undefined) files.set(last.file.path, last.file.bytes);
    return last;
  };
  const next = (): CheckpointId => checkpointId(++checkpoint);
  const restored = (): Record<string, number> => {
    const target = new MemoryStateStore(128);
    for (const handle of last?.keyed ?? []) {
      for (const segment of handle.segments) {
        const bytes =
          segment.kind === "inline"
            ? segment.bytes
            : files.get(segment.path)!.subarray(segment.offset, segment.offset + segment.length);
        target.table(handle.state).restore(readSegment(bytes).entries(range));
      }
    }
    return Object.fromEntries(target.table<number>("accumulators").entries()) as never;
  };
  const kinds = (): string[] =>
    (last?.keyed[0]?.segments ?? []).map((segment) =>
      segment.kind === "inline"
        ? `inline ${readSegment(segment.bytes).header.kind}`
        : `file ${segment.path.match(/chk-\d+/)?.[0]}`,
    );
  return { table, backend, snapshots, freezeWhole, freeze, restored, kinds, files };
}

/** What a subtask finds that is given these. */
const restoredFrom = (states: readonly RestoredKeyedState[]): Record<string, number> =>
  Object.fromEntries(subtask(0, true, "r2", { states, checkpoint: 0 }).table.entries());

/** What a restore reads of a snapshot, out of all files there were. */
const segmentsOf = (
  { keyed }: HandedOver,
  files: ReadonlyMap<string, Uint8Array>,
): RestoredKeyedState[] =>
  keyed.map((handle) => ({
    handle,
    segments: handle.segments.map((of) => {
      if (of.kind === "inline") return of.bytes;
      return files.get(of.path)!.subarray(of.offset, of.offset + of.length);
    }),
  }));

describe("StateSnapshots", () => {
  it("refers to nothing earlier where a full one is asked for, and goes on from that (S1)", () => {
    const { table, freeze, restored, kinds } = subtask(0);
    table.put("a", 1);
    freeze();
    table.put("b", 2);
    freeze();
    expect(kinds()).toEqual(["file chk-1", "file chk-2"]);
    freeze({ isFull: true });
    expect([kinds(), restored()]).toEqual([["file chk-3"], { a: 1, b: 2 }]);
    table.put("c", 3);
    freeze();
    expect([kinds(), restored()]).toEqual([["file chk-3", "file chk-4"], { a: 1, b: 2, c: 3 }]);
  });

  it("StreamOperatorSnapshotRestoreTest: writes what changed, and a restore gives the table as it was (S1)", () => {
    const { table, freeze, restored, kinds } = subtask(0);
    for (let n = 0; n < 2_000; n++) table.put(`key-${n}`, n);
    const full = freeze();
    table.put("key-1", -1);
    table.remove("key-2");
    table.put("new", 7);
    const delta = freeze();
    expect(kinds()).toEqual(["file chk-1", "file chk-2"]);
    expect(delta.bytes).toBeLessThan(full.bytes / 20);
    expect(delta.stateBytes).toBe(full.bytes + delta.bytes);
    const rows = restored();
    expect(Object.keys(rows)).toHaveLength(2_000);
    expect([rows["key-1"], rows["key-2"], rows["new"]]).toEqual([-1, undefined, 7]);
  });

  it("StateHandleReuseITCase: writes nothing where nothing changed, and names the same bytes again", () => {
    const { table, freeze, kinds } = subtask(0);
    table.put("a", 1);
    freeze();
    const second = freeze();
    expect([second.bytes, second.file, kinds()]).toEqual([0, undefined, ["file chk-1"]]);
  });

  it("small snapshots travel inside the acknowledgement, large ones in a file", () => {
    const { table, freeze, kinds, files } = subtask(2_000);
    table.put("a", 1);
    freeze();
    expect([kinds(), files.size]).toEqual([["inline full"], 0]);
    for (let n = 0; n < 5_000; n++) table.put(`key-${n}`, n);
    freeze();
    expect([kinds(), files.size]).toEqual([["inline full", "file chk-2"], 1]);
  });

  it("deltas that outgrow their base are compacted into a full segment", () => {
    const { table, freeze, restored, kinds } = subtask(0);
    for (let n = 0; n < 100; n++) table.put(`key-${n}`, n);
    freeze();
    for (let round = 1; round <= 6; round++) {
      for (let n = 0; n < 60; n++) table.put(`key-${n}`, round * 1_000 + n);
      freeze();
      expect(kinds().length).toBeLessThanOrEqual(4);
    }
    expect(restored()["key-59"]).toBe(6_059);
    expect(restored()["key-99"]).toBe(99);
  });

  describe("with one key in a hundred changing", () => {
    const keys = 5_000;
    const hot = keys / 100;
    it.each(["", "and restored now and then", "and restored from its image now and then"])(
      "deltas are merged, and the rest is never written again %s (S6)",
      (how) => {
        let opened = subtask(0);
        const files = new Map<string, Uint8Array>();
        const expected: Record<string, number> = {};
        const put = (key: string, value: number): void => {
          opened.table.put(key, value);
          expected[key] = value;
        };
        const remove = (key: string): void => {
          opened.table.remove(key);
          delete expected[key];
        };
        for (let n = 0; n < keys; n++) put(`key-${n}`, n);
        const { bytes: full } = opened.freeze();
        const sizes: number[] = [];
        let fulls = 0;
        for (let round = 1; round <= 5 * deltaChainMax; round++) {
          for (let n = 0; n < hot; n++) put(`key-${n}`, round * 1_000 + n);
          // Keys that come, go and come again, with barriers in between or not.
          put(`new-${round % 7}`, round);
          remove(`new-${(round + 3) % 7}`);
          remove(`key-${hot + (round % 5)}`);
          if (round % 3 === 0) put(`key-${hot + (round % 4)}`, -round);
          const frozen = opened.freeze();
          for (const [path, bytes] of opened.files) files.set(path, bytes);
          sizes.push(frozen.bytes);
          const [first, ...deltas] = frozen.keyed[0]!.segments;
          // One more where the first after a restore was due to be merged (S7).
          expect(deltas.length).toBeLessThanOrEqual(deltaChainMax + 1);
          if (deltas.length === 0) fulls++;
          expect(first!.kind).toBe("file");
          if (round % 10 === 0) expect(restoredFrom(segmentsOf(frozen, files))).toEqual(expected);
          if (how === "" || round % 45 !== 0) continue;
          const states = how.includes("image")
            ? opened.snapshots.image()
            : segmentsOf(frozen, files);
          opened = subtask(0, true, "r2", { states, checkpoint: round + 1 });
        }
        const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
        // An image does not say what changed since the full segment.
        if (how.includes("image")) expect(fulls).toBeGreaterThan(0);
        else {
          expect(fulls).toBe(0);
          expect(mean).toBeLessThan(1.1 * sizes[0]!);
          expect(mean).toBeLessThan(0.1 * full);
        }
      },
    );
  });

  it("what is due to be written whole is not by the first after a restore, up to a limit (S7)", () => {
    const keys = 300;
    let opened = subtask(0);
    const files = new Map<string, Uint8Array>();
    const freezeWith = (value: number): HandedOver => {
      for (let n = 0; n < 200; n++) opened.table.put(`key-${(value * 100 + n) % keys}`, value);
      const frozen = opened.freeze();
      for (const [path, bytes] of opened.files) files.set(path, bytes);
      return frozen;
    };
    for (let n = 0; n < keys; n++) opened.table.put(`key-${n}`, 0);
    const { bytes: full } = freezeWith(0);
    freezeWith(1);
    const frozen = freezeWith(2);
    // Two deltas of two thirds of the keys are more than what they follow.
    expect(frozen.stateBytes).toBeGreaterThan(2 * full);
    const restore = (from: HandedOver, checkpoint: number): void => {
      opened = subtask(0, true, "r2", { states: segmentsOf(from, files), checkpoint });
    };
    restore(frozen, 3);
    const first = freezeWith(3);
    expect(first.keyed[0]!.segments).toHaveLength(4);
    const second = freezeWith(4);
    expect(second.keyed[0]!.segments).toHaveLength(1);
    // Restored each time before the second.
    let last = first;
    const lengths = [4, 5, 6].map((value) => {
      restore(last, value);
      last = freezeWith(value);
      return last.keyed[0]!.segments.length;
    });
    expect(lengths).toContain(1);
    expect(restoredFrom(segmentsOf(last, files))).toEqual(
      Object.fromEntries(opened.table.entries()),
    );
  });

  describe("where the same few keys change each time (S8)", () => {
    const threshold = 5_000;
    const chainOf = ({ keyed }: HandedOver): string[] => keyed[0]!.segments.map(({ kind }) => kind);

    it("one merged delta takes the place of the one before, and no file is written", () => {
      const { table, freeze, files } = subtask(threshold);
      for (let n = 0; n < 5_000; n++) table.put(`key-${n}`, n);
      freeze();
      const expected = Object.fromEntries(table.entries());
      for (let round = 1; round <= 2 * deltaChainMax; round++) {
        // A delta of them is larger than what may be inline otherwise.
        for (let n = 0; n < 100; n++) table.put(`key-${n}`, (expected[`key-${n}`] = -round));
        const frozen = freeze();
        expect(frozen.bytes).toBeGreaterThan(threshold);
        expect([chainOf(frozen), frozen.file]).toEqual([["file", "inline"], undefined]);
        if (round % 16 === 0) expect(restoredFrom(segmentsOf(frozen, files))).toEqual(expected);
      }
      expect(files.size).toBe(1);
    });

    it("once they are others, it is no longer in every acknowledgement", () => {
      const { table, freeze, files } = subtask(threshold);
      for (let n = 0; n < 5_000; n++) table.put(`key-${n}`, n);
      freeze();
      const chains = Array.from({ length: 6 }, (_, round) => {
        const first = round < 2 ? 0 : 400 * round;
        for (let n = first; n < first + 400; n++) table.put(`key-${n}`, -round);
        return chainOf(freeze());
      });
      // With the others it is too much to be inline, and what follows is beside it.
      expect(chains).toEqual([
        ["file", "inline"],
        ["file", "inline"],
        ...[2, 3, 4, 5].map((length) => Array(length).fill("file")),
      ]);
      const frozen = freeze();
      expect(restoredFrom(segmentsOf(frozen, files))).toEqual(Object.fromEntries(table.entries()));
    });

    it("with many subtasks there is less room for it", () => {
      const kinds = [4, 5_000].map((subtasks) => {
        const { table, freeze } = subtask(threshold, true, "r2", undefined, subtasks);
        for (let n = 0; n < 5_000; n++) table.put(`key-${n}`, n);
        freeze();
        for (let n = 0; n < 100; n++) table.put(`key-${n}`, -n);
        return chainOf(freeze());
      });
      expect(kinds).toEqual([
        ["file", "inline"],
        ["file", "file"],
      ]);
    });

    it("whatever changes, a restore gives the table, and little is inline", () => {
      const changes = fc.array(
        fc.record({
          from: fc.nat(300),
          count: fc.constantFrom(1, 10, 60, 300),
          isRemoved: fc.boolean(),
          isRestored: fc.boolean(),
        }),
        { maxLength: 12 },
      );
      fc.assert(
        fc.property(changes, (rounds) => {
          const files = new Map<string, Uint8Array>();
          let opened = subtask(threshold);
          for (let n = 0; n < 300; n++) opened.table.put(`key-${n}`, n);
          opened.freeze();
          for (const [round, { from, count, isRemoved, isRestored }] of rounds.entries()) {
            const { table } = opened;
            for (let n = from; n < from + count; n++) {
              if (isRemoved && n % 2 === 0) table.remove(`key-${n}`);
              else table.put(`key-${n}`, -round);
            }
            const expected = Object.fromEntries(table.entries());
            const frozen = opened.freeze();
            for (const [path, bytes] of opened.files) files.set(path, bytes);
            const states = segmentsOf(frozen, files);
            expect(restoredFrom(states)).toEqual(expected);
            const inline = frozen.keyed.flatMap(({ segments }) =>
              segments.flatMap((of) => (of.kind === "inline" ? of.bytes.length : [])),
            );
            expect(inline.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(
              4 * threshold,
            );
            if (isRestored) {
              opened = subtask(threshold, true, "r2", { states, checkpoint: 2 + round });
            }
          }
        }),
        { numRuns: 60 },
      );
    });
  });

  it("a chain never grows beyond its limit", () => {
    const { table, freeze, kinds } = subtask(0);
    for (let n = 0; n < 20_000; n++) table.put(`key-${n}`, n);
    freeze();
    for (let n = 0; n < 2 * deltaChainMax; n++) {
      table.put("hot", n);
      freeze();
      expect(kinds().length).toBeLessThanOrEqual(deltaChainMax + 1);
    }
  });

  it("the bytes of a checkpoint follow the keys that changed, not the state's size", () => {
    const bytesOf = (keys: number, changed: number, incremental: boolean): number => {
      const { table, freeze } = subtask(0, incremental);
      for (let n = 0; n < keys; n++) table.put(`key-${n}`, n);
      freeze();
      for (let n = 0; n < changed; n++) table.put(`key-${n * 7}`, -n);
      return freeze().bytes;
    };
    const figures = [10_000, 100_000].map((keys) => ({
      full: bytesOf(keys, 1, false),
      of10: bytesOf(keys, 10, true),
      of100: bytesOf(keys, 100, true),
      of1000: bytesOf(keys, 1_000, true),
    }));
    const [small, large] = figures as [(typeof figures)[0], (typeof figures)[0]];
    // Ten times the state: ten times as much without deltas, and the same with them.
    expect(large.full / small.full).toBeGreaterThan(6);
    for (const of of ["of10", "of100", "of1000"] as const) {
      expect(Math.abs(large[of] / small[of] - 1)).toBeLessThan(0.05);
    }
    expect(large.of1000).toBeGreaterThan(1.5 * large.of100);
    expect(large.of10).toBeLessThan(large.full / 200);
    console.info(`bytes per checkpoint: ${JSON.stringify(figures)}`);
  });

  it("without increments every snapshot is full, and names no earlier file", () => {
    const { table, freeze, restored, kinds } = subtask(0, false);
    const paths = new Set<string>();
    for (let n = 0; n < 5; n++) {
      // Nothing changes in the last two rounds.
      if (n < 3) table.put(`key-${n}`, n);
      const { keyed, file } = freeze();
      expect(kinds()).toEqual([`file chk-${n + 1}`]);
      expect(keyed.flatMap(({ segments }) => segments)).toMatchObject([{ path: file?.path }]);
      paths.add(file!.path);
    }
    expect(paths.size).toBe(5);
    expect(restored()).toEqual({ "key-0": 0, "key-1": 1, "key-2": 2 });
  });

  it("with inline storage nothing goes into a file, and chains stay as short as otherwise", () => {
    const { table, freeze, restored, kinds } = subtask(100, true, "inline");
    const expected: Record<string, number> = {};
    for (let n = 0; n < 3_000; n++) table.put(`key-${n}`, (expected[`key-${n}`] = n));
    const { stateBytes } = freeze();
    for (let round = 0; round < 40; round++) {
      for (let n = 0; n < 500; n++) table.put(`key-${n}`, (expected[`key-${n}`] = -round));
      const frozen = freeze();
      expect(frozen.file).toBeUndefined();
      expect(frozen.stateBytes).toBeLessThan(2.5 * stateBytes);
    }
    expect(kinds().every((kind) => kind.startsWith("inline "))).toBe(true);
    expect(restored()).toEqual(expected);
  });

  it("after a segment was lost the next one is full (S2)", () => {
    const { table, freeze, restored, kinds } = subtask(0);
    table.put("a", 1);
    freeze();
    table.put("b", 2);
    freeze({ isLost: true });
    table.put("c", 3);
    freeze();
    expect(kinds()).toEqual(["file chk-3"]);
    expect(restored()).toEqual({ a: 1, b: 2, c: 3 });
  });

  it("CheckpointPropertiesTest: a savepoint is whole, and nothing is built on it (S5)", () => {
    const { table, freeze, freezeWhole, restored, kinds, files } = subtask(0);
    table.put("a", 1);
    freeze();
    table.put("b", 2);
    freeze();
    expect(kinds()).toEqual(["file chk-1", "file chk-2"]);
    table.put("c", 3);
    const { keyed, bytes, stateBytes } = freezeWhole();
    expect(restored()).toEqual({ a: 1, b: 2, c: 3 });
    expect(keyed.map(({ segments }) => segments)).toMatchObject([[{ path: "savepoints/s/v-0" }]]);
    expect(bytes).toBe(stateBytes);
    files.delete("savepoints/s/v-0");
    table.put("d", 4);
    freeze();
    expect(kinds()).toEqual(["file chk-4"]);
    expect(restored()).toEqual({ a: 1, b: 2, c: 3, d: 4 });
  });

  it("nor on what another job's savepoint was restored from (S5)", () => {
    const { table, freeze } = subtask(0);
    table.put("a", 1);
    const { keyed, file } = freeze();
    const segments = [file!.bytes];
    const path = "savepoints/theirs/v-0";
    const { uid, state } = keyed[0]!;
    const [segment] = keyed[0]!.segments;
    const handle = { uid, state, range, segments: [{ ...segment!, path }] } as KeyedStateHandle;
    for (const isBorrowed of [true, false]) {
      const other = subtask(0);
      other.snapshots.restore([{ handle, segments }], { isBorrowed });
      other.backend.store("sum").table<number>("accumulators").put("b", 2);
      const { keyed: handles } = other.freeze();
      const names = handles[0]!.segments.map((of) => (of.kind === "file" ? of.path : ""));
      expect(names.includes(path)).toBe(!isBorrowed);
    }
  });

  it("an emptied table leaves nothing behind, and begins anew (S3)", () => {
    const { table, freeze, restored } = subtask(0);
    table.put("a", 1);
    freeze();
    table.remove("a");
    expect(freeze().keyed).toEqual([]);
    table.put("b", 2);
    freeze();
    expect(restored()).toEqual({ b: 2 });
  });
});
