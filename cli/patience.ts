// How long something may be silent that takes as long as it takes.

/** A signal that aborts with a `TimeoutError` once so many milliseconds have passed without a renewal. */
export class Patience {
  readonly #controller = new AbortController();
  readonly #milliseconds: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
    this.renew();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  renew(milliseconds: number = this.#milliseconds): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#controller.abort(new DOMException("It took too long.", "TimeoutError"));
    }, milliseconds);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
