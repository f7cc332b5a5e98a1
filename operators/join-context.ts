// What the built-in functions of two streams may touch beside what users' may.

import type { Key } from "../format/key.ts";
import type { TimerContext } from "../stream/process.ts";
import type { AnyOutputTag } from "../stream/side-output.ts";
import type { StateDescriptors } from "../stream/state.ts";

export interface JoinContext<S extends StateDescriptors> extends TimerContext<Key, unknown, S> {
  /** Emits a row with an event time of its own. */
  emitAt(this: void, row: unknown, time: number): void;
  /** The row came too late: it goes to the side output, or is counted where there is none. */
  late(this: void, tag: AnyOutputTag | undefined, row: unknown): void;
}
