// What goes wrong in a world, how often, and whether it still may. The rates are drawn with the
// world; each fault is drawn when there is an occasion for it.

import type { Prng } from "./prng.ts";

/** Probabilities; per occasion unless another unit is said. */
export interface FaultRates {
  /** Messages that take long instead of a few milliseconds. */
  readonly slow: number;
  /** Calls whose request or answer is lost. */
  readonly drop: number;
  /** Calls and frames that arrive twice. */
  readonly duplicate: number;
  /** Frames that are lost alone, with later ones of the same session arriving. */
  readonly dropFrame: number;
  /** Frames whose answer never comes, on a session that lives on. */
  readonly loseAnswer: number;
  /** Calls of subtasks, and whole sessions, that are never answered. */
  readonly hang: number;
  /** Sessions cut, per frame. */
  readonly cut: number;
  /** Subtasks that lose their memory when something arrives: before or after it was dealt with. */
  readonly crashSubtask: number;
  /** The same for the coordinator. */
  readonly crashCoordinator: number;
  /** Everything killed at once, per second. */
  readonly crashAll: number;
  /** Of crashes: the old instance goes on beside the new one for a while. */
  readonly zombie: number;
  /** Writes to storage that take a while, so that a crash loses them. */
  readonly slowWrite: number;
  /** Operations of the bucket that fail, half of them after they were carried out. */
  readonly bucketError: number;
  readonly slowBucket: number;
  /** Alarms that are late, fire twice, or fail once and are tried again. */
  readonly alarm: number;
  /** Rows at which the user's code throws. */
  readonly userError: number;
  /** Turns of subtasks that come late: what makes rows wait in inboxes and outboxes. */
  readonly slowTurn: number;
  /** Milliseconds by which an object's clock may be off. */
  readonly skew: number;
}

export const noFaults: FaultRates = {
  slow: 0,
  drop: 0,
  duplicate: 0,
  dropFrame: 0,
  loseAnswer: 0,
  hang: 0,
  cut: 0,
  crashSubtask: 0,
  crashCoordinator: 0,
  crashAll: 0,
  zombie: 0,
  slowWrite: 0,
  bucketError: 0,
  slowBucket: 0,
  alarm: 0,
  userError: 0,
  slowTurn: 0,
  skew: 0,
};

export type Fault = Exclude<keyof FaultRates, "skew">;

export class Faults {
  readonly prng: Prng;
  readonly #drawn: FaultRates;
  #rates: FaultRates;
  /** How often each fault was met. */
  readonly counts = new Map<Fault, number>();

  constructor(rates: FaultRates, prng: Prng) {
    this.#drawn = rates;
    this.#rates = rates;
    this.prng = prng;
  }

  /** From here on nothing goes wrong any more; what is under way arrives. */
  heal(): void {
    this.#rates = noFaults;
  }

  get areOn(): boolean {
    return this.#rates !== noFaults;
  }

  strikes(fault: Fault, times = 1): boolean {
    const rate = this.#rates[fault];
    if (rate === 0 || !this.prng.chance(rate * times)) return false;
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    return true;
  }

  /** Milliseconds that a message takes. */
  latency(): number {
    if (this.strikes("slow")) return this.prng.between(50, this.prng.chance(0.1) ? 3_000 : 300);
    return this.prng.between(1, 8);
  }

  /** Milliseconds by which a clock is off; a machine keeps its clock after the faults. */
  skew(): number {
    const { skew } = this.#drawn;
    return skew === 0 ? 0 : this.prng.between(-skew, skew);
  }
}
