// How long a task was kept from its input by its outputs.
//   P1. Whether it is so is told as each event ends, and holds until another event says otherwise:
//       it begins and ends exactly at the times of events.
//   P2. The clock stands still while code runs. What a task works in an event counts to the state
//       that the event ends in, so this is no measure of how busy it was.

/** Adds up the milliseconds in which a task had input and its outputs had no room for it. */
export class BackPressure {
  #before = 0;
  #since: number | undefined;

  /** Goes on where another stood that was not held up. */
  resume(total: number): void {
    this.#before = total;
  }

  /** Since when input waits for the outputs, `now` at the earliest; undefined where none does. */
  observe(from: number | undefined, now: number): void {
    if (from !== undefined) {
      this.#since = Math.min(this.#since ?? Infinity, Math.max(from, now));
      return;
    }
    this.#before = this.total(now);
    this.#since = undefined;
  }

  total(now: number): number {
    return this.#before + Math.max(0, now - (this.#since ?? now));
  }
}
