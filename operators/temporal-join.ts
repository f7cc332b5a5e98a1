// temporalJoin: each left row with the version of the right side that was valid at its event time: the
// latest of its key that is not later than the row.
//   V1. A row waits until event time has come to it: by then all versions that count are there. Rows
//       leave in the order of their times, each with its own.
//   V2. Of the versions that are not later than event time the latest is kept, and the others go. At the
//       end of time the last ones go, too.
//   V3. A left row that is not later than event time here is late: it is not joined. A version that is
//       late counts from then on, if it is the latest, and is not kept otherwise.
// Flink's TemporalRowTimeJoinOperator, for versions that are only ever added.

import type { AnyCoProcessFunction } from "../stream/connect.ts";
import type { TemporalJoin } from "../stream/joins.ts";
import { type MapState, mapState } from "../stream/state.ts";
import { withoutTime } from "./interval-join.ts";
import type { JoinContext } from "./join-context.ts";

const state = {
  rows: mapState<number, readonly unknown[]>(),
  versions: mapState<number, unknown>(),
};

type Context = JoinContext<typeof state>;

export function temporalJoin(join: TemporalJoin): AnyCoProcessFunction & {
  readonly clearedAtEnd: readonly string[];
} {
  const { type, lateLeft } = join;
  const fn = join.fn as (left: unknown, version: unknown) => unknown;
  const timeOf = ({ timestamp }: Context): number => {
    if (timestamp === undefined) throw new TypeError(withoutTime("A temporal join"));
    return timestamp;
  };
  return {
    state,
    clearedAtEnd: ["versions"],
    processLeft(row: unknown, ctx: Context) {
      const time = timeOf(ctx);
      const { rows } = ctx.state;
      if (time <= ctx.timers.currentWatermark()) {
        return ctx.late(lateLeft, row);
      }
      rows.set(time, [...(rows.get(time) ?? []), row]);
      ctx.timers.registerEventTime(time);
    },
    processRight(version: unknown, ctx: Context) {
      const time = timeOf(ctx);
      const { versions } = ctx.state;
      const watermark = ctx.timers.currentWatermark();
      if (time > watermark) {
        versions.set(time, version);
        ctx.timers.registerEventTime(time);
        return;
      }
      const all = [...versions.entries()];
      if ((validAt(all, watermark)?.[0] ?? -Infinity) > time) return;
      versions.set(time, version);
      forget(all, time, versions);
    },
    onTimer(time: number, ctx: Context) {
      const { rows, versions } = ctx.state;
      const all = [...versions.entries()];
      const waiting = rows.get(time);
      if (waiting !== undefined) {
        const valid = validAt(all, time);
        if (valid !== undefined || type === "left") {
          for (const row of waiting) ctx.emit(fn(row, valid?.[1]));
        }
        rows.delete(time);
      }
      forget(all, validAt(all, time)?.[0] ?? -Infinity, versions);
    },
  };
}

type Versions = readonly (readonly [number, unknown])[];

/** Those before a time go. */
function forget(all: Versions, before: number, versions: MapState<number, unknown>): void {
  for (const [at] of all) if (at < before) versions.delete(at);
}

function validAt(versions: Versions, time: number): readonly [number, unknown] | undefined {
  let valid: readonly [number, unknown] | undefined;
  for (const version of versions) {
    if (version[0] <= time && (valid === undefined || version[0] > valid[0])) valid = version;
  }
  return valid;
}
