// The numbers that a process function draws: sfc32, one sequence per subtask, whose place in it is part
// of the subtask's state.
//   S1. A subtask that begins with a checkpoint of its own goes on where its sequence was: the same rows
//       in the same order draw the same numbers again.
//   S2. One without a place of its own begins a sequence that none began before: its seed is made of its
//       operator, its index and the places of all others.
//   S3. An operator that never draws keeps nothing.

import { hex128 } from "../format/digest.ts";
import { plainElements, type OperatorStateStore } from "./state/operator-state.ts";

/** The state in which it is kept; no state of a user's may have its name. */
export const randomState = "ctx/random";

type Place = readonly [number, number, number, number];

interface Stored {
  readonly index: number;
  readonly place: Place;
}

/** Bytes of memory that a place takes, about. */
const placeBytes = 64;

export class RandomNumbers {
  #place: Place;
  #isDrawn: boolean;
  readonly #note: ((undo: () => void) => void) | undefined;

  /** @param note is told before each draw how to take it back. */
  constructor(
    of: { readonly uid: string; readonly index: number },
    store: OperatorStateStore,
    note?: (undo: () => void) => void,
  ) {
    const { uid, index } = of;
    const restored = store.register(randomState, {
      redistribution: "union",
      schema: plainElements,
      elements: () => (this.#isDrawn ? [{ index, place: this.#place } satisfies Stored] : []),
      bytes: () => (this.#isDrawn ? placeBytes : 0),
    }) as readonly Stored[];
    const own = restored.find((one) => one.index === index);
    this.#isDrawn = own !== undefined;
    this.#place = own?.place ?? seeded(JSON.stringify([uid, index, restored]));
    this.#note = note;
  }

  /** From 0 up to but not including 1, of 53 bits. */
  readonly draw = (): number => {
    const { place, isDrawn } = { place: this.#place, isDrawn: this.#isDrawn };
    this.#note?.(() => {
      this.#place = place;
      this.#isDrawn = isDrawn;
    });
    this.#isDrawn = true;
    const high = this.#next() >>> 5;
    const low = this.#next() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992;
  };

  #next(): number {
    const [a, b, c, count] = this.#place;
    const drawn = (a + b + count) | 0;
    this.#place = [
      b ^ (b >>> 9),
      (c + (c << 3)) | 0,
      (((c << 21) | (c >>> 11)) + drawn) | 0,
      (count + 1) | 0,
    ];
    return drawn;
  }
}

function seeded(text: string): Place {
  const word = (at: number): number => Number.parseInt(hex128(text).slice(at * 8, at * 8 + 8), 16);
  return [word(0) | 0, word(1) | 0, word(2) | 0, 1];
}
