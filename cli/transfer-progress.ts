// How far a stream of lines is that goes to or comes from the deployment: one line on a terminal, else a
// line now and then, on stderr.

import { bytesText, whole } from "./output.ts";

/** Milliseconds between two lines: on a terminal, and where there is none. */
const redrawEvery = 200;
const lineEvery = 3_000;

const newline = 0x0a;

/** What passes through `watched`. */
export class Transfer {
  readonly #isShown: boolean;
  readonly #total: number | undefined;
  #shownAt = Date.now();
  bytes = 0;
  lines = 0;

  /** @param total bytes there are, where that is known */
  constructor(isShown: boolean, total?: number) {
    this.#isShown = isShown;
    this.#total = total;
  }

  async *watched(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of chunks) {
        this.bytes += chunk.length;
        for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, at + 1)) {
          this.lines++;
        }
        if (this.#isShown) this.#show();
        yield chunk;
      }
    } finally {
      if (this.#isShown && process.stderr.isTTY) process.stderr.write("\r\u001b[K");
    }
  }

  #show(): void {
    const isTerminal = process.stderr.isTTY;
    if (Date.now() < this.#shownAt + (isTerminal ? redrawEvery : lineEvery)) return;
    this.#shownAt = Date.now();
    const share =
      this.#total === undefined ? "" : `${Math.floor((100 * this.bytes) / this.#total)}%, `;
    const text = `${share}${whole(this.lines)} lines, ${bytesText(this.bytes)}`;
    if (isTerminal) process.stderr.write(`\r\u001b[K${text}`);
    else console.error(text);
  }
}
