// Lines of a stream of bytes. Whether a line is a record is for `format/records.ts` to say.

import { isUtf8 } from "node:buffer";

import { recordBytesMax } from "../../format/limits.ts";
import type { Entries, Entry } from "./entries.ts";

const newline = 0x0a;
const byteOrderMark = "\uFEFF";

/** One entry a line that is not blank. Memory holds a chunk and the line that it cuts. */
export async function* ndjsonEntries(chunks: AsyncIterable<Buffer>): Entries {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let place = 1;
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(newline);
    if (end === -1) {
      rest.push(chunk);
      restBytes += chunk.length;
      if (restBytes > recordBytesMax) {
        // Not worth reading on for its end: no such line can be a record, and the file is none of lines.
        const reason = `is larger than ${recordBytesMax} bytes (recordBytesMax); is this NDJSON?`;
        throw new LineTooLong(reason, place);
      }
      continue;
    }
    const lines = Buffer.concat([...rest, chunk.subarray(0, end)]);
    rest = [chunk.subarray(end + 1)];
    restBytes = chunk.length - end - 1;
    const entries = entriesOf(lines, place);
    place = entries.next;
    yield entries.entries;
  }
  if (restBytes > 0) yield entriesOf(Buffer.concat(rest), place).entries;
}

export class LineTooLong extends Error {
  readonly place: number;

  constructor(message: string, place: number) {
    super(message);
    this.place = place;
  }
}

function entriesOf(
  bytes: Buffer,
  first: number,
): { readonly entries: Entry[]; readonly next: number } {
  const entries: Entry[] = [];
  // Checked as a whole: nearly always there is nothing to find line by line.
  const isText = isUtf8(bytes);
  const lines = bytes.toString(isText ? "utf8" : "latin1").split("\n");
  for (const [i, line] of lines.entries()) {
    const place = first + i;
    const text = place === 1 && line.startsWith(byteOrderMark) ? line.slice(1) : line;
    if (text.trim() === "") continue;
    if (isText || isUtf8(Buffer.from(text, "latin1"))) {
      const json = isText ? text : Buffer.from(text, "latin1").toString("utf8");
      entries.push({ kind: "record", json, place });
    } else {
      entries.push({ kind: "bad", reason: "is not UTF-8", place });
    }
  }
  return { entries, next: first + lines.length };
}
