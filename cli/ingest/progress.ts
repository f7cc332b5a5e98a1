// How far an ingestion is: a bar on a terminal, else a line now and then. On stderr.

import { Presets, SingleBar } from "cli-progress";

import { bytesText, whole } from "../output.ts";
import type { Delivered } from "./delivery.ts";
import type { RecordFile } from "./entries.ts";

/** Milliseconds between two looks, and between two lines where there is no terminal. */
const every = 200;
const lineEvery = 3_000;

export class Progress {
  readonly #file: RecordFile;
  readonly #delivered: Delivered;
  readonly #begunAt = Date.now();
  readonly #timer: NodeJS.Timeout;
  readonly #bar: SingleBar | undefined;
  #lineAt = Date.now();

  constructor(file: RecordFile, delivered: Delivered) {
    this.#file = file;
    this.#delivered = delivered;
    if (process.stderr.isTTY && file.total !== undefined) {
      const options = { format: "{bar} {percentage}% {text}", hideCursor: true };
      this.#bar = new SingleBar({ ...options, stream: process.stderr }, Presets.shades_classic);
      this.#bar.start(file.total, 0, { text: "" });
    }
    this.#timer = setInterval(() => this.#show(), every);
  }

  get seconds(): number {
    return (Date.now() - this.#begunAt) / 1_000;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#bar?.update(this.#file.done(), { text: this.#text() });
    this.#bar?.stop();
  }

  #show(): void {
    if (this.#bar !== undefined) return this.#bar.update(this.#file.done(), { text: this.#text() });
    if (Date.now() - this.#lineAt < lineEvery) return;
    this.#lineAt = Date.now();
    const { total, done } = this.#file;
    const share =
      total === undefined ? "" : `${Math.floor((100 * done()) / Math.max(1, total))}%, `;
    console.error(share + this.#text());
  }

  #text(): string {
    const { records, bytes } = this.#delivered;
    return `${whole(records)} records, ${bytesText(bytes)}, ${whole(records / this.seconds)} records/s`;
  }
}
