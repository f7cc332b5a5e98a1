// A key function is opaque, and most read a field. Where a batch has columns, the first row's key says
// which of them its keys may stand in; whether they do is then looked at row by row, which costs no more
// than a comparison of two references. Codes of a dictionary then stand for keys.
//   K1. The function is called for every row, and what it answers is the key, whatever was guessed.
//   K2. A field that it was not once is not guessed again.

import type { Dictionary } from "../format/batch.ts";
import type { TextMemory } from "../format/known-texts.ts";
import type { KeySelector } from "../stream/graph.ts";
import { isColumnar, type ColumnarBatch, type RecordBatch } from "./operator.ts";

export class KeyGuess {
  readonly #select: KeySelector;
  /** The field that was right before. */
  #field: string | undefined;
  readonly #wrong = new Set<string>();

  constructor(select: KeySelector) {
    this.#select = select;
  }

  /**
   * The rows of a batch, which `of` is to be asked about: of the column that keys stood in before, texts are
   * found by `memory` and not made anew.
   */
  rowsOf(batch: RecordBatch, memory: TextMemory): readonly unknown[] {
    const field = this.#field;
    if (field !== undefined && isColumnar(batch) && batch.fields.includes(field)) {
      batch.column(field, memory);
    }
    return batch.rows();
  }

  /**
   * The dictionary by whose codes the rows have their keys; undefined where there is none, and where the
   * function throws on a row: whoever calls it again, row by row, then learns which.
   *
   * @param held the same rows, in columns where they can be
   */
  of(rows: readonly unknown[], held: RecordBatch): Dictionary | undefined {
    if (rows.length === 0 || !isColumnar(held)) return undefined;
    try {
      const guessed = this.#guessed(held, this.#select(rows[0] as never));
      if (guessed === undefined || this.#isRight(rows, guessed)) return guessed;
    } catch {
      return undefined;
    }
    this.#wrong.add(this.#field!);
    this.#field = undefined;
    return undefined;
  }

  #guessed(held: ColumnarBatch, first: unknown): Dictionary | undefined {
    if (typeof first !== "string") return undefined;
    if (this.#field !== undefined && held.fields.includes(this.#field)) {
      const found = beginningWith(first, held, this.#field);
      if (found !== undefined) return found;
    }
    for (const field of held.fields) {
      const found = this.#wrong.has(field) ? undefined : beginningWith(first, held, field);
      if (found === undefined) continue;
      this.#field = field;
      return found;
    }
    return undefined;
  }

  #isRight(rows: readonly unknown[], { entries, codes }: Dictionary): boolean {
    const select = this.#select;
    for (let i = 0; i < rows.length; i++) {
      if (select(rows[i] as never) !== entries[codes[i]!]) return false;
    }
    return true;
  }
}

/** The dictionary of a column of which the first text is that one. */
function beginningWith(first: string, held: ColumnarBatch, field: string): Dictionary | undefined {
  const dictionary = dictionaryOf(held, field);
  return dictionary?.entries[dictionary.codes[0]!] === first ? dictionary : undefined;
}

function dictionaryOf(held: ColumnarBatch, field: string): Dictionary | undefined {
  const column = held.column(field);
  return column.kind === "string" ? column.dictionary : undefined;
}
