// What is late stays late, whatever is restored where: a row that came after its windows were over, after
// all that it could have met or after its timer is not taken in by a restore; windows stay where they are,
// and are told once; and every timer fires, once.

import { describe, expect, test } from "vitest";

import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  boundedOutOfOrderness,
  count,
  type DataStream,
  defineJob,
  type JobDefinition,
  outputTag,
  rows,
  session,
  sliding,
  table,
  topic,
  tumbling,
} from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

interface Row {
  readonly id: number;
  readonly key: string;
  readonly at: number;
}

const partitions = 2;
const bound = 30;
const keys = 5;
/** Behind event time: beyond all windows, bounds and lateness here. */
const farBehind = 400;

const left = topic<Row>("left", { partitions });
const right = topic<Row>("right", { partitions });
const late = outputTag<Row>("late");

/** Windows, joins and timers of both streams; each row of a result says of what it is. */
const definition = (unaligned: boolean): JobDefinition =>
  defineJob(
    "late",
    (env) => {
      const watermarks = boundedOutOfOrderness(bound, { timestamp: ({ at }: Row) => at });
      const lefts = env.from(left, { uid: "left", watermarks });
      const rights = env.from(right, { uid: "right", watermarks });
      const byKey = lefts.keyBy("key");
      const other = rights.keyBy("key");
      const pair = (l: Row, r: Row): string => `${l.id} ${r.id}`;
      const inWindows = byKey
        .window(tumbling(50))
        .lateOutput(late)
        .aggregate({ n: count() }, { uid: "panes" });
      const inSliding = byKey
        .window(sliding(60, 20))
        .allowedLateness(40)
        .lateOutput(late)
        .process(
          {
            emits: rows<string>(),
            process: ({ key, window, emit }, all) => emit(`${key} ${window.start} ${all.length}`),
          },
          { uid: "windows" },
        );
      const inSessions = byKey
        .window(session(8))
        .lateOutput(late)
        .process(
          {
            emits: rows<string>(),
            process: ({ key, window, emit }, all) =>
              emit(`${key} ${window.start} ${window.end} ${all.length}`),
          },
          { uid: "sessions" },
        );
      const inBoth = byKey.windowJoin(other, { window: tumbling(40), lateLeft: late }, pair, {
        uid: "window-join",
      });
      const near = byKey.intervalJoin(other, { between: [-20, 20], lateLeft: late }, pair, {
        uid: "interval-join",
      });
      const valid = byKey.temporalJoin(
        other,
        { type: "left", lateLeft: late },
        (l, r) => `${l.id} ${r?.at ?? "none"}`,
        { uid: "temporal-join" },
      );
      const timers = byKey.process(
        {
          state: {},
          emits: rows<string>(),
          process({ id, at }, { key, timers: of, output }) {
            if (at <= of.currentWatermark()) output(late, { id, key, at });
            else of.registerEventTime(at + 25);
          },
          onTimer: (time, { key, emit }) => emit(`${key} ${time}`),
        },
        { uid: "timers" },
      );
      const lines: DataStream<string>[] = [
        inWindows.map((row) => `panes ${row.key} ${row.windowStart} ${row.n}`, { uid: "w1" }),
        inSliding.map((row) => `windows ${row}`, { uid: "w2" }),
        inSessions.map((row) => `sessions ${row}`, { uid: "w3" }),
        inBoth.map((row) => `window-join ${row}`, { uid: "j1" }),
        near.map((row) => `interval-join ${row}`, { uid: "j2" }),
        valid.map((row) => `temporal-join ${row}`, { uid: "j3" }),
        timers.map((row) => `timers ${row}`, { uid: "t1" }),
        ...(
          [
            ["panes", inWindows],
            ["windows", inSliding],
            ["sessions", inSessions],
            ["window-join", inBoth],
            ["interval-join", near],
            ["temporal-join", valid],
            ["timers", timers],
          ] as const
        ).map(([of, stream]) =>
          stream.sideOutput(late).map(({ id }) => `late ${of} ${id}`, { uid: `late-${of}` }),
        ),
      ];
      const [first, ...others] = lines as [DataStream<string>, ...DataStream<string>[]];
      // What comes twice is seen.
      first
        .union(...others)
        .keyBy((line) => line)
        .aggregate({ times: count() }, { uid: "times" })
        .to(table("lines"), { uid: "out" });
    },
    {
      parallelism: 2,
      bufferTimeout: 5,
      checkpointing: { interval: 100, unaligned, inlineThreshold: 1_000 },
    },
  );

/** What a plain loop makes of the rows that were in time, and of those that were late. */
function expected(
  inTime: { readonly left: readonly Row[]; readonly right: readonly Row[] },
  tooLate: readonly Row[],
): string[] {
  const lines: string[] = [];
  const byKey = Map.groupBy(inTime.left, ({ key }) => key);
  for (const [key, own] of byKey) {
    const others = inTime.right.filter((row) => row.key === key);
    const starts = (size: number, slide: number): Set<number> =>
      new Set(
        own.flatMap(({ at }) =>
          Array.from({ length: size / slide }, (_, n) => at - (at % slide) - n * slide),
        ),
      );
    const within = (start: number, size: number): number =>
      own.filter(({ at }) => at >= start && at < start + size).length;
    for (const start of starts(50, 50)) lines.push(`panes ${key} ${start} ${within(start, 50)}`);
    for (const start of starts(60, 20)) lines.push(`windows ${key} ${start} ${within(start, 60)}`);
    const times = own.map(({ at }) => at).toSorted((a, b) => a - b);
    for (let i = 0, from = 0; i < times.length; i++) {
      const next = times[i + 1];
      if (next !== undefined && next <= times[i]! + 8) continue;
      lines.push(`sessions ${key} ${times[from]} ${times[i]! + 8} ${i + 1 - from}`);
      from = i + 1;
    }
    for (const time of new Set(times)) lines.push(`timers ${key} ${time + 25}`);
    for (const { id, at } of own) {
      const versions = others.flatMap((row) => (row.at <= at ? [row.at] : []));
      lines.push(`temporal-join ${id} ${versions.length > 0 ? Math.max(...versions) : "none"}`);
      for (const other of others) {
        const isNear = Math.abs(other.at - at) <= 20;
        const isSame = Math.floor(other.at / 40) === Math.floor(at / 40);
        if (isNear) lines.push(`interval-join ${id} ${other.id}`);
        if (isSame) lines.push(`window-join ${id} ${other.id}`);
      }
    }
  }
  for (const { id } of tooLate) {
    for (const of of ["panes", "windows", "sessions", "window-join", "interval-join"]) {
      lines.push(`late ${of} ${id}`);
    }
    lines.push(`late temporal-join ${id}`, `late timers ${id}`);
  }
  return lines.toSorted();
}

/** Rounds of rows in time and rows that are late by now; restored somewhere else after each. */
function run(seed: number, unaligned: boolean): void {
  const prng = new Prng(seed);
  const world = new World();
  const inTime = { left: [] as Row[], right: [] as Row[] };
  const tooLate: Row[] = [];
  let id = 0;
  let restore: Manifest | undefined;
  const clusterOf = (): Cluster =>
    new Cluster(world, {
      definition: definition(unaligned),
      parallelism: 1 + prng.below(4),
      seed: prng.below(1_000_000),
      ...(restore && { restore }),
    });
  for (let round = 0; round < 4; round++) {
    const from = round * 500;
    for (let partition = 0; partition < partitions; partition++) {
      // Event time is past this when the round before has been processed, and that is in the checkpoint.
      for (let n = 0; n < 6 && round > 0; n++) {
        const row = {
          id: id++,
          key: `k${prng.below(keys)}`,
          at: from - farBehind - prng.below(80),
        };
        tooLate.push(row);
        world.append("left", partition, [row]);
      }
      for (const side of ["left", "right"] as const) {
        for (let time = from; time < from + 500; time += 12) {
          const at = Math.max(from, time - prng.below(bound));
          const row = { id: id++, key: `k${prng.below(keys)}`, at };
          inTime[side].push(row);
          world.append(side, partition, [row]);
        }
      }
    }
    // Lost again, up to a checkpoint in the middle or to the one before.
    const lost = clusterOf();
    lost.run(prng.below(400));
    if (prng.chance(0.5)) restore = lost.checkpoint();
    lost.run(prng.below(200));
    const cluster = clusterOf().settle();
    restore = cluster.checkpoint();
    if (round < 3) continue;
    for (const side of ["left", "right"]) {
      for (let partition = 0; partition < partitions; partition++) {
        world.append(side, partition, [{ id: -1, key: "end", at: 1_000_000 }]);
      }
    }
    const last = clusterOf().settle();
    const lines = (last.table("lines") as { key: string; times: number }[]).flatMap(
      ({ key, times }) => Array.from({ length: times }, () => key),
    );
    const isOfEnd = (line: string): boolean => / end | -1( |$)/.test(line);
    expect(lines.filter((line) => !isOfEnd(line)).toSorted()).toEqual(expected(inTime, tooLate));
  }
}

describe.each([{ unaligned: false }, { unaligned: true }])(
  "after a restore (unaligned: $unaligned)",
  ({ unaligned }) => {
    test.each([1, 2, 3, 4, 5, 6])(
      "no late row is taken in, no window moves and no timer is lost (seed %i)",
      (seed) => run(seed, unaligned),
    );
  },
);
