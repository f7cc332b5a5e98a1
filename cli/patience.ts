// How long something may be silent that takes as long as it takes.

/** A signal that aborts with a `TimeoutError` once so many milliseconds have passed without a renewal. */
export class Patience {
  readonly #controller = new AbortController();
  readonly #milliseconds: number;
  #timer: NodeJS.Timeout | undefined;
  #hasEnded = false;

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
    this.renew();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  renew(milliseconds: number = this.#milliseconds): void {
    clearTimeout(this.#timer);
    if (this.#hasEnded) return;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new DOMException("It took too long.", "TimeoutError"));
    }, milliseconds);
  }

  /** For good: what is still under way keeps nobody waiting. */
  end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
  }
}
