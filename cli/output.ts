// What commands print: text for people, one JSON document for programs.
//   O1. With --json, stdout holds exactly one JSON document, or nothing where the command failed.
//   O2. Text from a deployment cannot steer the terminal: control characters are shown, not sent.
//   O3. Colours go to a terminal only; NO_COLOR turns them off (`styleText` sees to both).

import { styleText } from "node:util";

export type Cell = string | number;

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Lines of a table: titles, then rows, columns as wide as their widest cell. */
export function tableOf(columns: readonly Column[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map((cell) => printable(String(cell))));
  const widths = columns.map(({ title }, i) =>
    texts.reduce((width, row) => Math.max(width, row[i]?.length ?? 0), title.length),
  );
  const line = (cells: readonly string[], style: (text: string) => string): string =>
    columns
      .map(({ align }, i) => {
        const cell = cells[i] ?? "";
        const space = " ".repeat((widths[i] ?? 0) - cell.length);
        // Styles have no width, so they come after the space is known.
        return align === "right" ? space + style(cell) : style(cell) + space;
      })
      .join("  ")
      .trimEnd();
  const titles = columns.map(({ title }) => title);
  return [line(titles, bold), ...texts.map((row) => line(row, stateStyle))].join("\n");
}

/** The control characters of a text as their escapes. A terminal obeys them otherwise (O2). */
export const printable = (text: string): string =>
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(4, "0");
    return character === "\n" ? "\\n" : character === "\t" ? "\\t" : `\\u${code}`;
  });

/** A text of several lines, each printable. */
export const printableLines = (text: string): string =>
  text.split(/\r?\n/).map(printable).join("\n");

export const bold = (text: string): string => styleText("bold", text, { stream: process.stdout });
export const dim = (text: string): string => styleText("dim", text, { stream: process.stdout });

const good = new Set(["RUNNING", "COMPLETED", "FINISHED"]);
const bad = new Set(["FAILED", "FAILING"]);
const passing = new Set(["RESTARTING", "INITIALIZING", "CANCELLING", "CANCELING", "IN_PROGRESS"]);

/** The colour of a state; other texts stay as they are. */
export function stateStyle(text: string): string {
  const colour = good.has(text)
    ? "green"
    : bad.has(text)
      ? "red"
      : passing.has(text)
        ? "yellow"
        : undefined;
  return colour === undefined ? text : styleText(colour, text, { stream: process.stdout });
}

export const whole = (value: number): string => Math.round(value).toLocaleString("en");

/** Bytes with the unit that suits them. */
export function bytesText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), units.length);
  return `${(bytes / 1_000 ** power).toFixed(1)} ${units[power - 1]}`;
}

/** Milliseconds in the two units that say most. */
export function durationText(milliseconds: number): string {
  if (milliseconds < 0) return "-";
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((milliseconds % 60_000) / 1_000)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A moment in local time, to the second; `-` where it has not come. */
export function timeText(at: number): string {
  if (at < 0) return "-";
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

export const printJson = (value: unknown): void => console.log(JSON.stringify(value, null, 2));
