// Lines of a stream of UTF-8.

import { FormatError } from "../../format/format-error.ts";

/** Characters of one line. */
const lineMax = 32 * 1_024 * 1_024;

/** @throws FormatError for what is not UTF-8, and for a line without end */
export async function* textLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let rest = "";
  const decoded = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (cause) {
      throw new FormatError("content", "It is not UTF-8", { cause });
    }
  };
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoded(chunk)).split("\n");
    rest = lines.pop()!;
    yield* lines;
    if (rest.length > lineMax) {
      throw new FormatError("length", `It is longer than ${lineMax} characters`);
    }
  }
  rest += decoded();
  if (rest !== "") yield rest;
}
