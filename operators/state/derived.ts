// What operators of a subtask have derived from their state, and the memory there is for it.

import type { Derived } from "./keyed-state.ts";

interface Deriving {
  readonly derived: readonly Derived[];
}

/** Drops all of it where it takes more than `room` bytes; how many it takes then. */
export function dropWithout(stores: readonly Deriving[], room: number): number {
  let bytes = 0;
  for (const { derived } of stores) for (const one of derived) bytes += one.bytes;
  if (bytes <= room) return bytes;
  for (const { derived } of stores) for (const one of derived) one.drop();
  return 0;
}
