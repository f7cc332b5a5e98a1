// What the cells of a CSV file are: pure. CSV has texts only; a column is made numbers or booleans by
// `--types`, or else by its first rows.
//   C1. A column is of one type from its first row to its last. A cell that is not of it is an error:
//       that a zip code loses its zeros, or a column changes its type half way, is worse.
//   C2. Without --types, a number is what JSON calls one and what a number holds exactly: neither
//       "007" nor 20 digits. So nothing is lost that the text could tell.

export const columnTypes = ["string", "number", "boolean"] as const;

export type ColumnType = (typeof columnTypes)[number];

export interface CsvColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** By --types, which takes numbers in any notation. */
  readonly isDeclared: boolean;
}

/** Rows by which the types of columns are told. */
export const sampleRows = 1_000;

const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const anyNumber = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const integer = /^[+-]?\d+$/;

/** The columns of a file, from its header, its first rows and what is declared of them. */
export function columnsOf(
  names: readonly string[],
  sample: readonly (readonly string[])[],
  declared: ReadonlyMap<string, ColumnType>,
): CsvColumn[] {
  return names.map((name, i) => {
    const type = declared.get(name);
    if (type !== undefined) return { name, type, isDeclared: true };
    const cells = sample.map((row) => row[i] ?? "").filter((cell) => cell !== "");
    return { name, type: typeOf(cells), isDeclared: false };
  });
}

function typeOf(cells: readonly string[]): ColumnType {
  if (cells.length === 0) return "string";
  if (cells.every((cell) => numberOf(cell, jsonNumber) !== undefined)) return "number";
  return cells.every((cell) => booleanOf(cell) !== undefined) ? "boolean" : "string";
}

/** What is wrong with a header, if anything. */
export function headerProblem(names: readonly string[]): string | undefined {
  const empty = names.indexOf("");
  if (empty !== -1) return `column ${empty + 1} has no name`;
  const double = names.find((name, i) => names.indexOf(name) !== i);
  if (double !== undefined) return `two columns are named "${double}"`;
  return names.includes("__proto__") ? 'a column is named "__proto__"' : undefined;
}

export type RowOutcome =
  | { readonly kind: "row"; readonly json: string }
  | { readonly kind: "bad"; readonly reason: string };

/** A row as a JSON object. An empty cell is "" in a column of texts, and null in any other. */
export function rowOf(columns: readonly CsvColumn[], cells: readonly string[]): RowOutcome {
  if (cells.length !== columns.length) {
    return {
      kind: "bad",
      reason: `has ${cells.length} cells, and there are ${columns.length} columns`,
    };
  }
  const row: Record<string, unknown> = {};
  for (const [i, column] of columns.entries()) {
    const value = valueOf(cells[i]!, column);
    if (value === undefined) {
      const cell = JSON.stringify(cells[i]!.slice(0, 40));
      const advice = column.isDeclared ? "" : `; declare it by --types ${column.name}=string`;
      return {
        kind: "bad",
        reason: `has ${cell} in column "${column.name}" of type ${column.type}${advice}`,
      };
    }
    row[column.name] = value;
  }
  return { kind: "row", json: JSON.stringify(row) };
}

function valueOf(cell: string, { type, isDeclared }: CsvColumn): unknown {
  if (type === "string") return cell;
  if (cell === "") return null;
  return type === "number" ? numberOf(cell, isDeclared ? anyNumber : jsonNumber) : booleanOf(cell);
}

function numberOf(cell: string, notation: RegExp): number | undefined {
  if (!notation.test(cell)) return undefined;
  const value = Number(cell);
  const isExact = !integer.test(cell) || Number.isSafeInteger(value);
  return Number.isFinite(value) && isExact ? value : undefined;
}

function booleanOf(cell: string): boolean | undefined {
  const text = cell.toLowerCase();
  return text === "true" ? true : text === "false" ? false : undefined;
}
