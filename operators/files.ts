// The files sink: rows as lines of JSON, by partition, until a barrier makes files of them.
//   F1. A file holds rows of one partition and of one epoch of one subtask, in the order they came.
//   F2. What is taken is no longer here: the task keeps it as commits, in snapshots and until it is there.

import { fileBytesMax } from "../format/limits.ts";
import { filePartition, type FilePartition } from "../stream/files.ts";
import type { FileContent, FilingOperator, OperatorContext, RecordBatch } from "./operator.ts";
import { rejectRow } from "./rejection.ts";
import { plainElements } from "./state/operator-state.ts";

/** Characters of lines that are put into bytes together. */
const chunkCharacters = 65_536;

const encoder = new TextEncoder();

/** The lines of one partition. */
interface Lines {
  /** Not in bytes yet. */
  readonly texts: string[];
  characters: number;
  readonly chunks: Uint8Array[];
  readonly files: Uint8Array[];
  /** Of `chunks`. */
  bytes: number;
}

export class FilesOperator implements FilingOperator {
  readonly name: string;
  readonly #ctx: OperatorContext;
  readonly #partition: ((row: never) => FilePartition) | undefined;
  readonly #lines = new Map<string, Lines>();
  #bytes = 0;
  /** How often files were taken at no barrier; stays through a rest. */
  #flushes: number;

  constructor(
    ctx: OperatorContext,
    name: string,
    partition: ((row: never) => FilePartition) | undefined,
  ) {
    this.#ctx = ctx;
    this.name = name;
    this.#partition = partition;
    const flushes = ctx.operatorState.register("files", {
      redistribution: "split",
      schema: plainElements,
      elements: () => (this.#flushes === 0 ? [] : [this.#flushes]),
      bytes: () => this.#bytes,
    }) as readonly number[];
    this.#flushes = Math.max(0, ...flushes);
  }

  processBatch(batch: RecordBatch): void {
    const rows = batch.rows();
    for (let at = 0; at < rows.length; at++) {
      try {
        for (; at < rows.length; at++) this.#write(rows[at]);
      } catch (error) {
        rejectRow(this.#ctx, `files "${this.name}"`, batch, at, error);
      }
    }
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  takeFiles(): FileContent[] {
    const { name } = this;
    const taken: FileContent[] = [];
    for (const [partition, lines] of this.#lines) {
      endFile(lines);
      lines.files.forEach((bytes, n) => taken.push({ name, partition, n, bytes }));
    }
    this.#lines.clear();
    this.#bytes = 0;
    return taken;
  }

  nextFlush(): number {
    return ++this.#flushes;
  }

  #write(row: unknown): void {
    const line = JSON.stringify(row) as string | undefined;
    if (line === undefined) throw new TypeError("The row is nothing that JSON can stand for.");
    const partition =
      this.#partition === undefined ? "" : filePartition(this.#partition(row as never));
    let lines = this.#lines.get(partition);
    if (lines === undefined) {
      lines = { texts: [], characters: 0, chunks: [], files: [], bytes: 0 };
      this.#lines.set(partition, lines);
    }
    lines.texts.push(line);
    lines.characters += line.length + 1;
    this.#bytes += line.length + 1;
    if (lines.characters < chunkCharacters) return;
    encode(lines);
    if (lines.bytes >= fileBytesMax) endFile(lines);
  }
}

function encode(lines: Lines): void {
  if (lines.texts.length === 0) return;
  const chunk = encoder.encode(`${lines.texts.join("\n")}\n`);
  lines.texts.length = 0;
  lines.characters = 0;
  lines.chunks.push(chunk);
  lines.bytes += chunk.length;
}

function endFile(lines: Lines): void {
  encode(lines);
  if (lines.chunks.length === 0) return;
  const file = new Uint8Array(lines.bytes);
  let at = 0;
  for (const chunk of lines.chunks) {
    file.set(chunk, at);
    at += chunk.length;
  }
  lines.files.push(file);
  lines.chunks.length = 0;
  lines.bytes = 0;
}
