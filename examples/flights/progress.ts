// How far a run is: a bar, or lines where there is no terminal, on stderr.

import { MultiBar, Presets } from "cli-progress";

import { whole } from "./figures.ts";

/** Milliseconds between two lines where there is no terminal to draw a bar on. */
const lineEvery = 3_000;

/** Milliseconds of which the shown rows per second are the mean. */
const rateWindow = 3_000;

export class Progress {
  readonly #rows: number;
  readonly #draw: (sent: number, text: string) => void;
  readonly #say: (line: string) => void;
  readonly #close: () => void;
  #samples: { readonly at: number; readonly sent: number }[] = [];

  constructor(rows: number) {
    this.#rows = rows;
    if (process.stderr.isTTY) {
      const options = { format: "{bar} {percentage}% {text}", hideCursor: true };
      const bars = new MultiBar({ ...options, stream: process.stderr }, Presets.shades_classic);
      const bar = bars.create(rows, 0, { text: "" });
      this.#draw = (sent, text) => bar.update(sent, { text });
      this.#say = (line) => bars.log(`${line}\n`);
      this.#close = () => bars.stop();
    } else {
      let drawnAt = 0;
      this.#say = (line) => console.error(line);
      this.#draw = (_, text) => {
        if (Date.now() - drawnAt < lineEvery) return;
        drawnAt = Date.now();
        console.error(text);
      };
      this.#close = () => {};
    }
  }

  /** @param rest what else there is to say of how far the job is */
  show(sent: number, rest: string): void {
    const rate = this.#rate(sent);
    const text = `${whole(sent)} of ${whole(this.#rows)} rows sent, ${whole(rate)} rows/s; ${rest}`;
    this.#draw(sent, text);
  }

  /** A line that stays. */
  say(line: string): void {
    this.#say(line);
  }

  close(): void {
    this.#close();
  }

  #rate(sent: number): number {
    const at = Date.now();
    this.#samples = [
      ...this.#samples.filter((sample) => at - sample.at < rateWindow),
      { at, sent },
    ];
    const first = this.#samples[0]!;
    return at === first.at ? 0 : ((sent - first.sent) / (at - first.at)) * 1_000;
  }
}
