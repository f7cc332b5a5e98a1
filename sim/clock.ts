// Virtual time and what is to happen in it.
//   C1. Events run in the order of their times; those of one time in the order they were asked for.
//   C2. Time moves only from event to event; an event takes none.
//   C3. It does move: who has something to do at once, over and over, would keep a processor busy for nothing.

import { must } from "./violation.ts";

/** Events of one instant, at most: none of 1,500 worlds had an instant of 200. */
const eventsAtOnceMax = 10_000;

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

const isBefore = (left: Event, right: Event): boolean =>
  left.at < right.at || (left.at === right.at && left.order < right.order);

export class Clock {
  #now: number;
  #order = 0;
  #turn = 0;
  /** A binary heap: sorting a list for every event was most of a world's cost. */
  readonly #heap: Event[] = [];

  constructor(start: number) {
    this.#now = start;
  }

  get now(): number {
    return this.#now;
  }

  /** Events that have been asked for so far. */
  get events(): number {
    return this.#order;
  }

  /** Which event is running: what happens in one turn happens without a wait in between. */
  get turn(): number {
    return this.#turn;
  }

  later(delay: number, run: () => void): void {
    const event = { at: this.#now + Math.max(0, delay), order: this.#order++, run };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Lets that much time pass. */
  run(forMs: number): void {
    const end = this.#now + forMs;
    let events = 0;
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) break;
      this.#take();
      events = next.at === this.#now ? events + 1 : 0;
      must(events < eventsAtOnceMax, () => `C3: time stands still at ${next.at}`);
      this.#now = next.at;
      this.#turn++;
      next.run();
    }
    this.#now = end;
  }

  #take(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const count = heap.length;
    if (count === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
