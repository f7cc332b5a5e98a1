// A few calls under way, as many as a channel of the engine may have frames: neither side waits for
// the other, and memory stays bounded.

import { channelWindow } from "../../format/limits.ts";

export class Window {
  readonly #calls: Promise<unknown>[] = [];
  readonly #size: number;

  constructor(size: number = channelWindow) {
    this.#size = size;
  }

  /** Resolves when there is room for another call. */
  async add(call: Promise<unknown>): Promise<void> {
    this.#calls.push(call);
    if (this.#calls.length >= this.#size) await this.#calls.shift();
  }

  async empty(): Promise<void> {
    await Promise.all(this.#calls.splice(0));
  }
}
