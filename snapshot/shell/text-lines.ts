// Lines of a stream of UTF-8.
//   L1. Every character is looked at once, however small the chunks and however long the line.
//   L2. No more than a line of `lineMax` and a chunk is in memory.

import { FormatError } from "../../format/format-error.ts";

/** Characters of one line. */
export const lineMax = 32 * 1_024 * 1_024;

/** @throws FormatError for what is not UTF-8, and for a line that is too long */
export async function* textLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  const decoded = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (cause) {
      throw new FormatError("content", "It is not UTF-8", { cause });
    }
  };
  // The line that has begun, in the pieces in which it came: joining them with each that comes would
  // copy the line once per chunk (L1).
  let pieces: string[] = [];
  let length = 0;
  const take = (piece: string): void => {
    length += piece.length;
    if (length > lineMax) {
      throw new FormatError("length", `It is longer than ${lineMax} characters`);
    }
    if (piece !== "") pieces.push(piece);
  };
  const line = (): string => {
    const whole = pieces.join("");
    pieces = [];
    length = 0;
    return whole;
  };
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    const text = decoded(chunk);
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      take(text.slice(from, end));
      yield line();
      from = end + 1;
    }
    take(text.slice(from));
  }
  take(decoded());
  if (length > 0) yield line();
}
