// The one source of chance: whatever a world does by luck, it draws from here, so that a seed is a
// world. mulberry32: small, seedable, good enough to draw worlds with.

export class Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to but not including 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** Both ends included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(p: number): boolean {
    return p > 0 && this.next() < p;
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError("Nothing to pick from.");
    return from[this.below(from.length)]!;
  }

  /** A generator of its own, so that what is drawn from it disturbs nobody else's luck. */
  fork(): Prng {
    return new Prng(Math.floor(this.next() * 4294967296));
  }
}
