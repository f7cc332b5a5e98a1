import { Command } from "commander";

import { sessionOf, wholeFrom } from "../../options.ts";
import { bytesText, type Column, printJson, tableOf, timeText } from "../../output.ts";
import type { ListedSavepoint } from "../../state-answers.ts";

interface Options {
  readonly limit: number;
  readonly after?: string;
}

/** Savepoints of one request. */
const pageMax = 100;

const columns: readonly Column[] = [
  { title: "ID" },
  { title: "PROGRAM" },
  { title: "CHECKPOINT", align: "right" },
  { title: "TAKEN" },
  { title: "BYTES", align: "right" },
];

export const listCommand = (interrupted: AbortSignal): Command =>
  new Command("list")
    .description("the savepoints in the bucket, newest first")
    .option("-l, --limit <n>", "how many of them", wholeFrom(1), 50)
    .option("--after <id>", "those behind this one")
    .action(async ({ limit, after }: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const savepoints: ListedSavepoint[] = [];
      let next = after ?? null;
      let total: number;
      do {
        const page = await api.savepoints({
          limit: String(Math.min(pageMax, limit - savepoints.length)),
          ...(next !== null && { after: next }),
        });
        savepoints.push(...page.savepoints);
        ({ next, total } = page);
      } while (next !== null && savepoints.length < limit);
      if (isJson) return printJson({ savepoints, total, next });
      if (savepoints.length === 0) {
        console.log(
          after === undefined
            ? "No savepoints."
            : `No savepoints behind ${after}; ${total} in all.`,
        );
        return;
      }
      console.log(tableOf(columns, savepoints.map(row)));
      for (const { id, problem } of savepoints) {
        if (problem !== undefined) console.error(`${id} cannot be read: ${problem}`);
      }
      if (next !== null) {
        console.error(`${savepoints.length} of ${total}; the next ones: --after ${next}`);
      }
    });

const row = ({ id, program, checkpoint, time, bytes }: ListedSavepoint): (string | number)[] => [
  id,
  program ?? "?",
  checkpoint ?? "?",
  time === null ? "?" : timeText(time),
  bytesText(bytes),
];
