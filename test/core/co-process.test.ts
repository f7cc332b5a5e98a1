// Functions of two streams: what they share, and that it is as if nothing had been lost.

import { describe, expect, test } from "vitest";

import { type DataStream, listState, mapState, outputTag, rows, unionListState } from "tidemark";
import { operatorHarness } from "tidemark/testing";
import { type Event, held, jobOf, madeBy, runThrough } from "./two-streams.ts";

interface Told {
  readonly key: string;
  readonly left: readonly number[];
  readonly right: readonly number[];
}

const length = 100;
const endOf = (at: number): number => (Math.floor(at / length) + 1) * length - 1;

/** Gathers what both streams have of a key and a stretch of time, and tells it once that is over. */
const gathering = (left: DataStream<Event>, right: DataStream<Event>): DataStream<Told> =>
  left
    .keyBy((row) => row.key)
    .connect(right.keyBy("key"))
    .process(
      {
        state: { left: mapState<number, number[]>(), right: mapState<number, number[]>() },
        emits: rows<Told>(),
        processLeft({ id, at }, { state, timers }) {
          state.left.set(endOf(at), [...(state.left.get(endOf(at)) ?? []), id]);
          timers.registerEventTime(endOf(at));
        },
        processRight({ id, at }, { state, timers }) {
          state.right.set(endOf(at), [...(state.right.get(endOf(at)) ?? []), id]);
          timers.registerEventTime(endOf(at));
        },
        onTimer(time, { key, state, emit }) {
          const idsOf = (side: "left" | "right") =>
            (state[side].get(time) ?? []).toSorted((a, b) => a - b);
          emit({ key: `${key} ${time}`, left: idsOf("left"), right: idsOf("right") });
          state.left.delete(time);
          state.right.delete(time);
        },
      },
      { uid: "both" },
    );

describe("a function of two keyed streams: CoStreamCheckpointingITCase", () => {
  test.each([false, true])(
    "has state and timers of both, whatever is lost (unaligned: %s)",
    (unaligned) => {
      const definition = jobOf(gathering, unaligned);
      for (let seed = 1; seed <= 12; seed++) {
        const { left, right, cluster } = runThrough(definition, { seed });
        const idsOf = (of: readonly Event[], key: string, end: number): number[] =>
          of.filter((row) => row.key === key && endOf(row.at) === end).map(({ id }) => id);
        const names = new Set([...left, ...right].map(({ key, at }) => `${key} ${endOf(at)}`));
        const expected = Array.from(names, (name): Told => {
          const [key, end] = name.split(" ") as [string, string];
          return { key: name, left: idsOf(left, key, +end), right: idsOf(right, key, +end) };
        });
        expect(madeBy(cluster)).toEqual(expected.map((row) => JSON.stringify(row)).toSorted());
        expect(held(cluster)).toBe(0);
      }
    },
  );

  test("undoes what a row of either side did that is left out", () => {
    const harness = operatorHarness((stream: DataStream<{ side: string; bad?: boolean }>) => {
      const [left, right] = ["left", "right"].map((of) =>
        stream.filter(({ side }) => side === of, { uid: of }).keyBy(() => "all"),
      );
      return left!.connect(right!).process(
        {
          state: { seen: listState<string>() },
          emits: rows<string>(),
          processLeft({ bad }, { state, emit }) {
            state.seen.add("left");
            emit(state.seen.get().join(","));
            if (bad) throw new Error("It is left out.");
          },
          processRight({ bad }, { state, emit }) {
            state.seen.add("right");
            emit(state.seen.get().join(","));
            if (bad) throw new Error("It is left out.");
          },
        },
        { uid: "both", onError: "drop" },
      );
    });
    for (const side of ["left", "right"]) {
      harness.push({ side, bad: true });
      harness.push({ side });
    }
    expect(harness.take()).toEqual(["left", "left,right"]);
  });
});

test("a function of two streams without keys has lists of its subtask", () => {
  const odd = outputTag<number>("odd");
  const harness = operatorHarness((stream: DataStream<number>) => {
    const small = stream.filter((n) => n < 10, { uid: "small" });
    const both = small.connect(stream.filter((n) => n >= 10, { uid: "large" })).process(
      {
        operatorState: { sums: unionListState<number>() },
        emits: rows<number>(),
        processLeft(n, { operatorState: { sums }, emit, output }) {
          const sum = (sums.get()[0] ?? 0) + n;
          sums.update([sum]);
          if (n % 2 === 1) output(odd, sum);
          else emit(sum);
        },
        processRight: (n, { operatorState: { sums }, emit }) => emit((sums.get()[0] ?? 0) * n),
      },
      { uid: "both" },
    );
    return both.union(both.sideOutput(odd).map((n) => -n, { uid: "negative" }));
  });
  for (const n of [2, 4, 10]) harness.push(n);
  expect(harness.take()).toEqual([2, 6, 60]);
  const again = harness.restore(harness.snapshot());
  for (const n of [3, 100]) again.push(n);
  expect(again.take()).toEqual([-9, 900]);
});
