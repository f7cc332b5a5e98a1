// Exports of savepoints, from the deployment and on disk, as lines that are read one at a time.
//   X1. An export without its last line, `{"end":true}`, is cut short, whatever ended it.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";

import { FormatError } from "../format/format-error.ts";
import { keyGroupOf } from "../format/key-groups.ts";
import type { Key } from "../format/key.ts";
import type { ElementLine, Header, KeyedLine, Line } from "../snapshot/lines.ts";
import { readLine } from "../snapshot/lines.ts";
import { comparePlaces, type Place, placeOf } from "../snapshot/place.ts";
import { textLines } from "../snapshot/shell/text-lines.ts";
import type { Api } from "./api.ts";
import { Problem, reasonOf, usageProblem } from "./problem.ts";

export interface Entry {
  readonly place: Place;
  /** Among those of its subtask; 0 of a key. */
  readonly element: number;
  readonly line: KeyedLine | ElementLine;
}

export interface Export {
  readonly name: string;
  readonly header: Header;
  /** In their order. @throws Problem that names the line which is no good */
  readonly entries: AsyncGenerator<Entry>;
}

export const compareEntries = (a: Entry, b: Entry): number =>
  comparePlaces(a.place, b.place) || a.element - b.element;

/** The bytes of a file; `-` is stdin. */
export async function* bytesOfFile(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* (path === "-" ? process.stdin : createReadStream(path)) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw usageProblem(`${path} cannot be read: ${reasonOf(error)}`);
  }
}

/** What `text` names: the file where there is one, else a snapshot of the deployment. */
export async function openExport(api: Api, text: string): Promise<Export> {
  const isFile = text === "-" || (await stat(text).catch(() => undefined))?.isFile() === true;
  if (!isFile && /^[./]|\.ndjson$/.test(text)) {
    throw usageProblem(`${text} cannot be read: there is no such file.`);
  }
  const bytes = isFile ? bytesOfFile(text) : api.exported(text);
  return readExport(
    text,
    textLines(Readable.toWeb(Readable.from(bytes)) as ReadableStream<Uint8Array>),
  );
}

/** Reads the header; the entries follow as they are asked for. */
export async function readExport(name: string, lines: AsyncIterable<string>): Promise<Export> {
  const all = numbered(name, lines);
  const first = (await all.next()).value;
  if (first?.line.kind !== "header") {
    throw new Problem(`${name} is no export of a savepoint: its first line must be the header.`);
  }
  const { header } = first.line;
  return { name, header, entries: entriesOf(name, header, all) };
}

interface Numbered {
  readonly at: number;
  readonly line: Line;
}

async function* numbered(name: string, lines: AsyncIterable<string>): AsyncGenerator<Numbered> {
  let at = 1;
  try {
    for await (const text of lines) {
      if (text.trim() !== "") yield { at, line: readLine(text) };
      at++;
    }
  } catch (error) {
    if (error instanceof FormatError) throw wrong(name, at, error.message);
    throw error;
  }
}

async function* entriesOf(
  name: string,
  { about: { maxParallelism } }: Header,
  lines: AsyncIterable<Numbered>,
): AsyncGenerator<Entry> {
  let last: Entry | undefined;
  let isWhole = false;
  for await (const { at, line } of lines) {
    if (isWhole) throw wrong(name, at, "It stands behind the last line of the export");
    if (line.kind === "header") throw wrong(name, at, "It is a second header");
    if (line.kind === "end") {
      isWhole = true;
      continue;
    }
    const place = placeOf(line, groupOf(line, maxParallelism));
    const isNext = last !== undefined && comparePlaces(last.place, place) === 0;
    const element = isNext && line.kind === "operator" ? last!.element + 1 : 0;
    const entry = { place, element, line };
    if (last !== undefined && compareEntries(last, entry) >= 0) {
      throw wrong(
        name,
        at,
        "It is there twice, or must stand before the line before it: lines are ordered by operator, " +
          "state, key group (or subtask) and key",
      );
    }
    yield entry;
    last = entry;
  }
  if (!isWhole) {
    throw new Problem(`${name} is cut short: its last line must be {"end":true}. Export it again.`);
  }
}

function groupOf(line: KeyedLine | ElementLine, maxParallelism: number): number {
  if (line.kind === "operator") return line.subtask;
  const own = line.schema.holds === "map" ? (line.key as readonly Key[])[0]! : line.key;
  return line.group ?? keyGroupOf(own, maxParallelism);
}

const wrong = (name: string, at: number, problem: string): Problem =>
  new Problem(`${name}, line ${at}: ${problem.replace(/\.$/, "")}.`);
