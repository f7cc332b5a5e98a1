// A binary heap: the least of what it holds is at hand.

export class Heap<T> {
  readonly #isBefore: (left: T, right: T) => boolean;
  #held: T[] = [];

  /** @param isBefore a strict order; of equal ones any comes first. */
  constructor(isBefore: (left: T, right: T) => boolean) {
    this.#isBefore = isBefore;
  }

  get first(): T | undefined {
    return this.#held[0];
  }

  get size(): number {
    return this.#held.length;
  }

  push(one: T): void {
    const heap = this.#held;
    let at = heap.push(one) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(one, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = one;
  }

  /** Drops the first; only where there is one. */
  pop(): void {
    const heap = this.#held;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }

  /** Forgets all that does not pass. */
  keep(passes: (one: T) => boolean): void {
    const kept = this.#held.filter(passes);
    this.#held = [];
    for (const one of kept) this.push(one);
  }
}
