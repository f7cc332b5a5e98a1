// State that no key owns, from the side of the operator that keeps it: a source's offsets, a sink's
// pending transactions, a buffer, a copy of broadcast state. The operator holds it as it likes; this
// is how it gets into snapshots and back.
//   V1. `elements` is asked at every barrier, between two batches, and what it gives is stored before
//       anything else happens.
//   V2. What was restored is handed out once, when the operator is built.

import type { Redistribution } from "../../format/state-handle.ts";
import { schemaOf, type StateSchema } from "./schema.ts";

/** One state of an operator: how it is stored, and how it is read at a barrier. */
export interface OperatorState {
  readonly redistribution: Redistribution;
  /** Of one element. */
  readonly schema: StateSchema<unknown>;
  /** In order. A state without elements leaves nothing behind. */
  elements(): readonly unknown[];
  /** Bytes of memory that it takes, about: they count against the budget. */
  bytes(): number;
}

/** The states of one operator that no key owns. */
export interface OperatorStateStore {
  /**
   * Announces a state; its name is part of what checkpoints hold. Called while the operator is built,
   * once per name. Gives the elements that this subtask takes over, in order.
   */
  register(name: string, state: OperatorState): readonly unknown[];
}

/** Of lists whose elements are taken as they were stored. */
export const plainElements = schemaOf({ holds: "list", version: 1, ttl: false });
